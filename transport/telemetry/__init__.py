"""What operators see of the package."""
