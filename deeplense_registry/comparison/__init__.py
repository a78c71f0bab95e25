"""Runs side by side."""

from .table import comparison_table

__all__ = ["comparison_table"]
