"""Colours and markers that everyone can tell apart, on screens and in print."""

from __future__ import annotations

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette (2008) without its yellow, which vanishes on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "*")
GLYPHS = dict(zip(MARKERS, "●■▲◆▼✚✖⬟★", strict=True))
"""The markers as text."""
GREY = "#6b6b6b"

LEVELS = ("#f7fbff", "#e1edf8", "#cbdff1", "#abcfe6", "#82badb", "#57a0ce", "#3282be", "#1764ab", "#08468b")
"""From worst to best: lightness tells them apart whatever the colour vision."""


def colour(number: int) -> str:
    """The colour of method ``number``; they come again with another :func:`marker`."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """The marker of method or backbone ``number``: of 63 no two look alike."""
    return MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]


def level(value: float, low: float, high: float) -> int:
    """Where ``value`` lies from ``low`` (0) to ``high`` (8); the middle where both are the same."""
    if high == low:
        return len(LEVELS) // 2
    return round((value - low) / (high - low) * (len(LEVELS) - 1))


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``, 0 to 1 (WCAG 2.2)."""
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def ink(paper: str) -> str:
    """Black or white, whichever reads better on ``paper``."""
    return max(("#111111", "#ffffff"), key=lambda text: contrast(text, paper))
