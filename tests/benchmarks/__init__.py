"""Ratios measured in one run, alternating; never a timed test."""
