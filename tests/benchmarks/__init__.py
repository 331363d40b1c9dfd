"""Ratios measured in one run, candidates alternating; never a timed test. `make bench`, `python -m tests.benchmarks -h`.

measure says how things are measured, orders what is read, candidates/ who takes part, and a module a part does the rest;
for fetch, scenarios says against which servers, serving runs these, and timeline makes figures of what they saw.
"""
