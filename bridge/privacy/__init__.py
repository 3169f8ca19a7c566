"""What must not be written down: card numbers and the like, found in words and struck out. Pure."""
