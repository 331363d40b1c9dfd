"""The tables in other forms: parquet, Delta Lake, DuckDB, Excel, CSV, SQL."""
