"""The pictures of a run, inside the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ...components import UserError
from .collect import Run
from .markup import Markup, element

WIDTH = 800
"""Pixels; wider pictures are made smaller."""


def gallery(run: Run, name: str) -> tuple[Markup | None, list[str]]:
    """The pictures of a run called ``name``, and those that cannot be read."""
    shown, problems = [], []
    for path in run.pictures:
        title = path.relative_to(run.folder.pictures).with_suffix("").as_posix()
        try:
            image = element("img", src=embedded(path), alt=f"{title} of {name}", loading="lazy")
        except UserError as error:
            problems.append(str(error))
            continue
        shown.append(element("figure", image, element("figcaption", title.replace("_", " "))))
    if not shown:
        return None, problems
    return element("details", element("summary", name), element("div", *shown, class_="figures")), problems


def embedded(path: Path) -> str:
    """A picture as a ``data:`` URL, small enough for a page of many.

    Raises:
        UserError: It is no picture, or damaged.
    """
    file = io.BytesIO()
    try:
        with Image.open(path) as image:
            image.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
            image.convert("RGB").save(file, format="WEBP", quality=80, method=4)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: no picture that can be read ({error}); it is left out") from error
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
