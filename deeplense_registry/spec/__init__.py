"""What a run is. Torch-free."""
