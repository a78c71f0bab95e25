"""A run happens."""

from .build import build
from .encoder import Encoder, load_encoder
from .folder import RunFolder
from .run import run_cell
from .trainer import Interrupted

__all__ = ["Encoder", "Interrupted", "RunFolder", "build", "load_encoder", "run_cell"]
