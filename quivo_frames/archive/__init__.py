"""Every answer as received, the ledger of what was asked, and the answers as parquet (raw_export)."""
