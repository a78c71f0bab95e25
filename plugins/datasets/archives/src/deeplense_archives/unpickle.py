"""Pickles of numbers and nothing else: numpy's own reconstruction is admitted, every other call is refused."""

from __future__ import annotations

import codecs
import pickle
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy._core import multiarray
from numpy.typing import NDArray

from deeplense_registry import UserError


def _dtype(kind: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
    """NumPy 1.x wrote 0 and 1 where NumPy 2 wants booleans."""
    made: np.dtype[Any] = np.dtype(kind, align=bool(align), copy=bool(copy))
    return made


def _from_buffer(buffer: Any, dtype: Any, shape: tuple[int, ...], order: Any) -> NDArray[Any]:
    """What protocol 5 calls; numpy refuses Python objects here."""
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy._core.multiarray", "scalar"): multiarray.scalar,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): codecs.encode,
}


class _Numbers(pickle.Unpickler):
    """An unpickler that knows numpy's arrays, types and scalars."""

    def find_class(self, module: str, name: str) -> Any:
        """The callable of that name, if it is one of numpy's."""
        renamed = module.replace("numpy.core", "numpy._core", 1) if module.startswith("numpy.core") else module
        if (renamed, name) not in _ADMITTED:
            raise UserError(f"its pickle calls {module}.{name}, which is refused: only numbers and arrays are read")
        return _ADMITTED[renamed, name]


def unpickle(data: bytes) -> Any:
    """The arrays, numbers, strings, lists and dictionaries of a pickle.

    NumPy 1.x (``numpy.core``) and 2.x (``numpy._core``) files are read alike.

    Raises:
        UserError: The pickle calls anything but numpy's reconstruction, which is not done, or is damaged.
    """
    try:
        return _Numbers(BytesIO(data)).load()
    except UserError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"its pickle is damaged ({type(error).__name__}: {error})") from error
