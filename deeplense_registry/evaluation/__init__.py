"""An encoder is judged."""
