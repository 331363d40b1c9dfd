"""What changed in orders from one answer to the next."""
