"""Bytes of orders -> validated tables, and back. No I/O."""
