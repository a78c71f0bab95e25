"""Images become views."""
