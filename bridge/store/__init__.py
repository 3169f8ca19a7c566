"""What is kept of each call."""
