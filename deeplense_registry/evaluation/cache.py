"""What takes long is computed once: arrays are kept under a name that tells what made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..components import UserError
from ..shards.atomic import replacing


@frozen
class ArrayCache:
    """A folder of arrays: embeddings of a run, or what the runs of a survey have in common.

    Attributes:
        folder: Where they lie; made when the first is kept.
        key: A digest of all that determines them: weights, images, scaling and the code of the plugins.
    """

    folder: Path
    key: str

    def __call__(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array called ``name``: read if it is there, else made and kept.

        Raises:
            UserError: The file is damaged, or the disk cannot be written.
        """
        path = self.folder / f"{name}-{self.key[:16]}.npy"
        if not path.is_file():
            self._write(path, make())
        try:
            array: NDArray[Any] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path} is damaged: {error}; delete it and run again") from error
        return array

    def _write(self, path: Path, array: NDArray[Any]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as aside, aside.open("wb") as file:
                np.save(file, array, allow_pickle=False)
        except OSError as error:
            raise UserError(f"{path}: cannot write: {error}; make room and run again") from error
