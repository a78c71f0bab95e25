"""A report: runs side by side on one page that needs no network."""

from .page import report_page

__all__ = ["report_page"]
