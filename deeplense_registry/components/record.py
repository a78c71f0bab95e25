"""The record by which a plugin declares a component."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import Attribute, field, frozen, validators

API = 1
"""The version of the four interfaces that this core implements."""

KINDS = ("method", "backbone", "dataset", "evaluator", "observer")
"""The kinds of component; the entry-point group of a kind is ``deeplense.<kind>s``."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _matches(pattern: re.Pattern[str], example: str) -> Callable[[Any, Attribute[str], str], None]:
    def check(_: Any, attribute: Attribute[str], value: str) -> None:
        if not pattern.fullmatch(value):
            raise ValueError(f"Component.{attribute.name} is {value!r}; write it like {example!r}")

    return check


@frozen(kw_only=True)
class Component:
    """What a plugin's light module declares: a name, and where the code lies.

    Attributes:
        kind: ``"method"``, ``"backbone"``, ``"dataset"``, ``"evaluator"`` or ``"observer"``.
        name: The name in specs; equal to the name of the entry point. Lower case, digits, single hyphens.
        api: The version of the interfaces the plugin was written for (1).
        factory: ``"package.module:Class"`` of the implementation; imported only when a run builds it.
        options: ``"package.module:Class"`` of an attrs class with the TOML options; imported to check a spec, so it
            must not import torch.
        summary: One sentence for ``deeplense plugins``.
        reference: The paper, as ``"arXiv:..."`` or a DOI; empty where there is none.

    Raises:
        ValueError: A field is not of the form above; the message shows the field, its value and an example.
    """

    kind: str = field(validator=validators.in_(KINDS))
    name: str = field(validator=_matches(_NAME, "simclr"))
    api: int = field(validator=validators.instance_of(int))
    factory: str = field(validator=_matches(_PATH, "deeplense_simclr.method:SimCLR"))
    options: str = field(validator=_matches(_PATH, "deeplense_simclr.options:SimCLROptions"))
    summary: str
    reference: str = ""
