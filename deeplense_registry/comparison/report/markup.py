"""HTML written so that no text can become markup: strings are escaped, elements are not."""

from __future__ import annotations

from html import escape

_VOID = frozenset({"br", "img", "meta", "col"})


class Markup(str):
    """HTML that is safe as it stands; only :func:`element` and :func:`joined` should make any."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: str | int | bool | None) -> Markup:
    """An HTML element.

    Args:
        name: The tag's.
        children: Texts, which are escaped, and elements, which are not; ``None`` is nothing.
        attributes: Values are escaped. ``class_`` is ``class``, ``data_name`` is ``data-name``; ``True`` is an
            attribute without a value, ``None`` and ``False`` are none.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{escape(str(value))}"')
    start = f"<{' '.join(words)}>"
    return Markup(start) if name in _VOID else Markup(f"{start}{joined(*children)}</{name}>")


def joined(*children: str | None) -> Markup:
    """Texts, escaped, and elements one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children if child))


def table(
    caption: str,
    columns: list[str],
    rows: list[list[str]],
    *,
    foot: list[list[str]] | None = None,
    class_: str | None = None,
) -> Markup:
    """A table that can be sorted by its headings; a row's first cell is its heading.

    Args:
        caption: What it shows.
        columns: The headings.
        rows: As long as ``columns``. A cell is a text, or what :func:`cell` made.
        foot: Rows that stay below when the others are sorted.
        class_: Of the table.
    """
    heads = [element("th", element("button", name, type="button"), scope="col") for name in columns]
    parts = [
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *map(_row, rows)),
        element("tfoot", *map(_row, foot)) if foot else None,
    ]
    return element("div", element("table", *parts, class_=class_), class_="scroll", tabindex=0)


def cell(text: str, *, sort: float | None = None, class_: str | None = None) -> Markup:
    """A table's cell, sorted by ``sort`` where that is not its text."""
    return element("td", text, data_sort=None if sort is None else repr(sort), class_=class_)


def _row(cells: list[str]) -> Markup:
    first, *others = cells
    return element("tr", element("th", first, scope="row"), *(_cell(one) for one in others))


def _cell(one: str) -> Markup:
    return one if isinstance(one, Markup) and one.startswith("<td") else element("td", one)
