"""The audit: one small function per check."""
