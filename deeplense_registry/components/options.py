"""How options are written: an attrs field with a sentence about it, for messages, ``--help`` and the JSON schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

Check = Callable[[Any, "attrs.Attribute[Any]", Any], Any]


def option(about: str, default: Any = attrs.NOTHING, *checks: Check, factory: Callable[[], Any] | None = None) -> Any:
    """A field of an options class.

    Args:
        about: One sentence: what it does, its unit and its range.
        default: Its value where the spec is silent; without one the spec must give it.
        checks: attrs validators (``validators.ge(1)``, ``validators.in_(...)``); those that attrs provides go into the
            JSON schema too.
        factory: Makes a mutable default.
    """
    validator: Sequence[Check] | None = list(checks) or None
    if factory is not None:
        return attrs.field(factory=factory, validator=validator, metadata={"about": about}, kw_only=True)
    return attrs.field(default=default, validator=validator, metadata={"about": about}, kw_only=True)


def ordered(low: float, high: float) -> Check:
    """A validator of ranges: two numbers with ``low <= first <= second <= high``."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: tuple[float, float]) -> None:
        if not low <= value[0] <= value[1] <= high:
            raise ValueError(f"'{attribute.name}' must be two numbers in order, within [{low:g}, {high:g}]: {value}")

    return check
