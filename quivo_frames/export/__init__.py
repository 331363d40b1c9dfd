"""Exports of the tables: parquet, Delta Lake, DuckDB, Excel, CSV, SQL."""
