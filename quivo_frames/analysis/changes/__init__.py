"""Change history: what changed in orders from one answer to the next."""
