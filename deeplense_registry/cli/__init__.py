"""The command line, a file per verb."""

from .main import main

__all__ = ["main"]
