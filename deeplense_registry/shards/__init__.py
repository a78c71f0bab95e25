"""Images at rest."""
