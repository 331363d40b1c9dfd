"""Care for what is kept: integrity of archive and dataset, erasure of orders."""
