"""What people see: progress, text that is safe for a terminal, HTML for Jupyter."""
