"""Inputs -> dataset: partitions of orders, built by an executor and committed as one snapshot."""
