"""Datasets: tables as a folder of parquet files with a manifest.

    DIR/<table>.parquet      one file per table; descriptions, units and privacy classes in the field metadata
    DIR/failures.parquet     orders that are in no table, and why
    DIR/notes.parquet        readings that needed a decision, and unknown fields
    DIR/.lineage/            which answer each order was built from, and its notes, for incremental builds
    DIR/manifest.json        written last: version, inputs, counts, and rows, size and sha256 of each file
    DIR/exports.json         where the tables were exported to, so that orders can be erased there as well
    DIR/findings.parquet     what audits found before: keys of rows and instants

A dataset is written to a hidden folder inside the one it replaces, and its files are moved over the earlier ones when
all of them are on disk. The manifest is removed first and moved last, so that a reader sees the old dataset, the new
one, or an error.
"""
