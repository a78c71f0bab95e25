"""Labels that lie beside a stack of images are given to its images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layout import stack_key
from .scan import Found, Scan


def join_labels(found: Scan, classes: tuple[str, ...]) -> None:
    """Give the images of stacks their labels; whole numbers are classes, others quantities.

    A file without its counterpart, or of another length, becomes a problem and its images are left out.
    """
    stacks: dict[str, list[Found]] = {}
    for image in found.images:
        if image.row is not None:
            stacks.setdefault(stack_key(image.name), []).append(image)
    for key, (name, values) in found.labels.items():
        images = stacks.get(key, [])
        if not images:
            found.problems.append(f"{name} holds labels, and there is no stack of images beside it")
        elif len(values) != found.stacks[images[0].name]:
            count = found.stacks[images[0].name]
            found.problems.append(f"{name} has {len(values)} labels for the {count} images of {images[0].name}")
            found.images = [image for image in found.images if image.name != images[0].name]
        else:
            _join(images, values, name, classes, found)


def _join(images: list[Found], values: NDArray[Any], name: str, classes: tuple[str, ...], found: Scan) -> None:
    whole = bool((values == np.round(values)).all())
    if whole and classes and (values.min() < 0 or values.max() >= len(classes)):
        found.problems.append(f"{name} has the label {values.max():g}; classes names {len(classes)}, from 0")
    for image in images:
        value = float(values[image.row or 0])
        if not whole:
            image.value = value
        elif classes and 0 <= value < len(classes):
            image.label = classes[int(value)]
        elif not classes:
            image.label = str(int(value))
