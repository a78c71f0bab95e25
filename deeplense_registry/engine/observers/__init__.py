"""Who watches a run: TensorBoard, a progress bar, a log, and whatever plugins add."""

from .notify import Observers, observers_of

__all__ = ["Observers", "observers_of"]
