"""Files and object stores: atomic writes, locks, addresses, parquet, compressed input."""
