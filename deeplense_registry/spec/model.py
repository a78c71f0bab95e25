"""A spec that is right, and the cells it asks for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from attrs import frozen

from ..components import Row
from .skew import SkewTable
from .sources import Sources
from .structure import plain
from .tables import ExcludeTable, ExecuteTable, FluxTable, LabelsTable, RunTable, TrainTable, ViewsTable

_WATCHING = ("log_every", "keep_checkpoints", "checkpoint_minutes", "probe")
"""Keys of [train] that do not change the encoder."""


@frozen(kw_only=True)
class Instance:
    """One table under dataset, method, backbone or evaluate.

    Attributes:
        name: The table's key.
        use: The component: its name, or ``"distribution:name"``.
        row: The component as found; ``None`` for the built-in data set "shards".
        options: An instance of the component's options class. Where options name files outside the spec, the class
            defines ``fingerprint() -> str``, which changes with them and is empty where none is named.
    """

    name: str
    use: str
    row: Row | None
    options: Any

    @property
    def document(self) -> dict[str, Any]:
        """The table with every default filled in."""
        return {"use": self.use, **plain(self.options)}

    @property
    def digest(self) -> str:
        """Of ``use`` and the options, whatever the table is called."""
        return digest_of(self.document)

    @cached_property
    def fingerprint(self) -> str:
        """Of the files that the options name, as they are when first asked; empty without any."""
        return str(self.options.fingerprint()) if hasattr(self.options, "fingerprint") else ""


@frozen(kw_only=True, eq=False)
class Spec:
    """A spec whose every table is right.

    Attributes:
        run, views, flux, train, labels, execute: The core's tables.
        skew: ``[skew]``, or ``None``: the training images are taken as they are.
        dataset, method, backbone, evaluate: The instances of each kind, in the order of the file.
        exclude: What to leave out of the product.
        sources: Where each value comes from.
    """

    run: RunTable
    views: ViewsTable
    flux: FluxTable
    train: TrainTable
    labels: LabelsTable
    skew: SkewTable | None = None
    execute: ExecuteTable
    dataset: tuple[Instance, ...]
    method: tuple[Instance, ...]
    backbone: tuple[Instance, ...]
    evaluate: tuple[Instance, ...]
    exclude: tuple[ExcludeTable, ...]
    sources: Sources

    @property
    def resolved(self) -> dict[str, Any]:
        """The whole spec as one document, with every default filled in."""
        document = _document(self, plain(self.run))
        if self.exclude:
            document["exclude"] = plain(self.exclude)
        return document


@frozen(kw_only=True)
class Cell:
    """One run: a dataset, a method, a backbone and a seed.

    Attributes:
        name: ``method-backbone``, with the dataset in front if the spec has several, and ``-s<seed>`` behind if it has
            several seeds; the run's folder.
        run: The name of the spec, ``run.name``.
        seed: The run's one seed.
        dataset, method, backbone: What is trained on what.
        evaluate: Who judges the encoder.
        views, flux, train, labels, execute: The core's tables.
        skew: ``[skew]``, or ``None``: the training images are taken as they are.
    """

    name: str
    run: str
    seed: int
    dataset: Instance
    method: Instance
    backbone: Instance
    evaluate: tuple[Instance, ...]
    views: ViewsTable
    flux: FluxTable
    train: TrainTable
    labels: LabelsTable
    skew: SkewTable | None = None
    execute: ExecuteTable

    @property
    def resolved(self) -> dict[str, Any]:
        """A spec of this cell alone with every default filled in; read again, it gives a cell of the same digests."""
        return _document(self, {"name": self.run, "seeds": [self.seed]})

    @property
    def digest(self) -> str:
        """sha256 of what determines the run's results: files it names, and all but ``run.name`` and ``[execute]``."""
        document = {key: value for key, value in self.resolved.items() if key != "execute"}
        files = _files(self.dataset, self.method, self.backbone, self.labels, *self.evaluate)
        return digest_of({**document, "run": {"seeds": [self.seed]}, **files})

    @property
    def train_digest(self) -> str:
        """sha256 of what determines the encoder: no names, no evaluation, no logging."""
        train = {key: value for key, value in plain(self.train).items() if key not in _WATCHING}
        parts = {kind: getattr(self, kind).document for kind in ("dataset", "method", "backbone")}
        tables = {"views": plain(self.views), "flux": plain(self.flux), "train": train}
        if self.skew is not None and self.skew.on == "both":
            tables["skew"] = plain(self.skew)
        files = _files(self.dataset, self.method, self.backbone)
        return digest_of({**parts, **tables, "seed": self.seed, **files})


def digest_of(document: Mapping[str, Any]) -> str:
    """sha256, in hexadecimal, of the document as canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _files(*tables: Instance | LabelsTable) -> dict[str, Any]:
    """The fingerprint of each table; nothing where none names a file, so that its digest is of the spec alone."""
    files = [table.fingerprint for table in tables]
    return {"files": files} if any(files) else {}


def _document(whole: Spec | Cell, run: Mapping[str, Any]) -> dict[str, Any]:
    """The tables in the order in which a reader wants them; what is not there is left out."""
    document: dict[str, Any] = {"run": dict(run)}
    for kind in ("dataset", "method", "backbone"):
        document[kind] = _tables(getattr(whole, kind))
    for table in ("views", "flux", "train", "labels"):
        document[table] = plain(getattr(whole, table))
    if whole.skew is not None:
        document["skew"] = plain(whole.skew)
    if whole.evaluate:
        document["evaluate"] = _tables(whole.evaluate)
    return {**document, "execute": plain(whole.execute)}


def _tables(instances: Instance | tuple[Instance, ...]) -> dict[str, Any]:
    several = instances if isinstance(instances, tuple) else (instances,)
    return {one.name: one.document for one in several}
