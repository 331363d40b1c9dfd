"""Prints the ratios of all benchmarks: `make bench`."""

from __future__ import annotations

from tests.benchmarks import build

build.run()
