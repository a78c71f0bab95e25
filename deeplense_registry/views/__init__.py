"""Images become views: batched, on the device, in physical terms."""

from .pipeline import NUISANCES, Pipeline
from .scaling import BandStatistics, Scaling

__all__ = ["NUISANCES", "BandStatistics", "Pipeline", "Scaling"]
