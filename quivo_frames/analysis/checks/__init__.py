"""The audit: one small function a check."""
