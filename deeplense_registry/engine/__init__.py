"""A run happens."""
