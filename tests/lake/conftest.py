"""Tests with DuckLake itself, where its extension is installed: in .venv-lake, by `make long`."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("duckdb_extension_ducklake") else ["test_*.py"]
