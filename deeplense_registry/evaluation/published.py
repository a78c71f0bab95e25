"""Published labels are read: checked against the images that are there, then drawn no more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..components import UserError
from ..interfaces import Draw
from ..shards import ShardSet
from ..spec import LabelsTable
from .splits import FORMAT, fingerprint, label_index_path, shards_digest
from .subsample import Index


def read_label_index(path: Path, target: str, labels: LabelsTable, shards: ShardSet, pool: Index) -> list[list[Draw]]:
    """For each budget of ``labels`` its first ``labels.draws`` draws, as they were published.

    Args:
        path: A folder of splits, or one file.
        target: The target's name.
        labels: The spec's ``[labels]``.
        shards: Where the images lie now.
        pool: (n,) positions of the images that may be labelled.

    Raises:
        UserError: The file is absent or damaged, is of another target or of other images, names an image that is not
            there or may not be labelled, or lacks a budget or a draw.
    """
    path = label_index_path(path, target)
    content = _read(path)
    if content["target"] != target:
        raise UserError(f"{path} has labels of {content['target']!r}, not of {target!r}; give another labels.index")
    known = {str(name): place for place, name in zip(pool.tolist(), shards.names("train")[pool], strict=True)}
    digest = shards_digest(shards.manifest)
    return [
        [_draw(path, row, known, digest) for row in _rows(path, content["draws"], budget, labels.draws)]
        for budget in labels.budgets
    ]


def _rows(path: Path, rows: Sequence[Mapping[str, Any]], budget: int | str, draws: int) -> list[Mapping[str, Any]]:
    found = sorted((row for row in rows if row["budget"] == budget), key=lambda row: row["number"])
    wanted = 1 if budget == "all" else draws
    if len(found) < wanted:
        budgets = ", ".join(dict.fromkeys(json.dumps(row["budget"]) for row in rows))
        raise UserError(
            f"{path} has {len(found)} draws of the budget {budget}, and {wanted} are asked for; "
            f"set labels.budgets and labels.draws to what it has (budgets: {budgets})"
        )
    return found[:wanted]


def _draw(path: Path, row: Mapping[str, Any], known: Mapping[str, int], shards: str) -> Draw:
    where = f"{path}: draw {row['number']} of the budget {row['budget']}"
    names = row["names"]
    absent = [name for name in names if name not in known]
    if absent:
        raise UserError(
            f"{where}: {len(absent)} of its {len(names)} images are not among the training images that may be "
            f"labelled, the first being {absent[0]!r}; use the data set and the skew that it was made for"
        )
    if fingerprint(shards, names) != row["fingerprint"]:
        raise UserError(
            f"{where}: the fingerprint is not that of these shards and names: the images are others than those it was "
            "made for, or the file was changed; take the same shards, or the file as it was published"
        )
    return Draw(number=row["number"], index=np.sort(np.array([known[name] for name in names], np.int64)))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot read published labels ({error.strerror}); mend labels.index") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); take it as it was published") from error
    if not _is_label_index(content):
        raise UserError(
            f"{path} is no label index of format {FORMAT}; give one that a run wrote into its splits folder"
        )
    index: dict[str, Any] = content
    return index


def _is_label_index(content: Any) -> bool:
    """Whether the file has what is read of it; nothing else of it matters."""
    kinds: dict[str, Any] = {"budget": (int, str), "number": int, "names": list, "fingerprint": str}
    return (
        isinstance(content, dict)
        and content.get("format") == FORMAT
        and isinstance(content.get("target"), str)
        and isinstance(content.get("draws"), list)
        and all(isinstance(row, dict) for row in content["draws"])
        and all(isinstance(row.get(key), kind) for row in content["draws"] for key, kind in kinds.items())
        and all(isinstance(name, str) for row in content["draws"] for name in row["names"])
    )
