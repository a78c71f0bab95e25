"""Images become views: batched, on the device, in physical terms."""

from .pipeline import Pipeline
from .scaling import BandStatistics, Scaling

__all__ = ["BandStatistics", "Pipeline", "Scaling"]
