"""What all figures of a study share: how they are embedded, and the key to colours and markers."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from ..models import SUPERVISED, UNTRAINED
from .markup import Markup, element
from .palette import COLOURS, GLYPHS, MARKERS, marker
from .study import Study

_BASELINES = {UNTRAINED: "╌╌", SUPERVISED: "⋯⋯"}


def figure(svg: str, description: str, caption: str | None = None) -> Markup:
    """An SVG as a picture of its own, described for those who do not see it."""
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
    return element(
        "figure", element("img", src=source, alt=description), element("figcaption", caption) if caption else None
    )


def row(*figures: Markup | None) -> Markup | None:
    """Figures side by side where there is room; ``None`` if there are none."""
    return element("div", *figures, class_="figures") if any(figures) else None


def method_key(study: Study, *baselines: str) -> Markup:
    """Which colour and marker is which method's, and which line which baseline's."""
    entries = [(GLYPHS[marker(number)], f"c{number % len(COLOURS)}", name) for number, name in enumerate(study.methods)]
    return _key([*entries, *((_BASELINES[name], None, name) for name in baselines)])


def cost_key(study: Study) -> Markup:
    """Which colour is which method's, and which marker which backbone's."""
    methods = [("━", f"c{number % len(COLOURS)}", name) for number, name in enumerate(study.methods)]
    backbones = [(GLYPHS[MARKERS[number % len(MARKERS)]], None, name) for number, name in enumerate(study.backbones)]
    return _key([*methods, *backbones])


def _key(entries: Sequence[tuple[str, str | None, str]]) -> Markup:
    items = [
        element("li", element("span", glyph, class_=shade, aria_hidden="true"), " ", name)
        for glyph, shade, name in entries
    ]
    return element("ul", *items, class_="key")
