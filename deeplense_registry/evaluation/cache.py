"""Embeddings are computed once a run: they are kept beside it, under a name that tells what made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..components import UserError
from ..shards.atomic import replacing


@frozen
class EmbeddingCache:
    """A folder of embeddings.

    Attributes:
        folder: Where they lie; made when the first is kept.
        key: A digest of all that determines them: weights, images, scaling and the code of the plugins.
    """

    folder: Path
    key: str

    def __call__(self, split: str, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """(N, D) of ``split``: read if they are there, else made and kept.

        Raises:
            UserError: The file is damaged, or the disk cannot be written.
        """
        path = self.folder / f"{split}-{self.key[:16]}.npy"
        if not path.is_file():
            self._write(path, make())
        try:
            pooled: NDArray[np.float32] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path} is damaged: {error}; delete it and run again") from error
        return pooled

    def _write(self, path: Path, pooled: NDArray[np.float32]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as aside, aside.open("wb") as file:
                np.save(file, pooled, allow_pickle=False)
        except OSError as error:
            raise UserError(f"{path}: cannot write: {error}; make room and run again") from error
