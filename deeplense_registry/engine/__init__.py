"""A run happens."""

from .build import build
from .encoder import Encoder, load_encoder
from .folder import SHARED, RunFolder
from .run import run_cell
from .trainer import Interrupted

__all__ = ["SHARED", "Encoder", "Interrupted", "RunFolder", "build", "load_encoder", "run_cell"]
