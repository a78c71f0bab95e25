"""What of a spec tells models apart, and what tells labels apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..spec.model import digest_of

TRAINED_BY = ("method", "views", "flux", "train")
"""Tables that make two methods of one name different."""
_LABELLED_BY = ("seed", "stratified", "index")
"""Keys of [labels] that make labels different."""


def labels_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of [labels] that make two runs see different labels, and [skew]."""
    labels = spec.get("labels", {})
    return {name: labels.get(name) for name in _LABELLED_BY} | {"skew": spec.get("skew")}


def digest_of_tables(spec: Mapping[str, Any], tables: Sequence[str]) -> str:
    """Equal where the tables are, whatever those of components are called."""
    return digest_of({name: unnamed(spec.get(name)) for name in tables})


def unnamed(table: Any) -> Any:
    """Without what a component's table is called."""
    nested = isinstance(table, dict) and all(isinstance(inner, dict) for inner in table.values())
    return list(table.values()) if nested else table
