"""Noun: tables <-> a folder of parquet files with a manifest. Only here: the files of a dataset. Floor 4.

    DIR/<table>.parquet      one file a table; sentence, unit and privacy class in the field metadata
    DIR/failures.parquet     orders that are in no table, and why
    DIR/notes.parquet        readings that needed a decision, and fields that nobody knows
    DIR/.lineage/            which answer each order was made from, and its notes, so that a build renews what changed
    DIR/manifest.json        written last: version, inputs, counts, rows, size and sha256 of each file
    DIR/exports.json         where the tables were exported to, so that orders can be erased there as well

A dataset is written beside the one it replaces, in a hidden folder, and moved over it file by file when all of it is on
the disk. The manifest goes first and comes last, so that a reader meets the old dataset, the new one, or a message.

Its rooms: manifest (the file and its names), opened (the `Dataset`), writing (the `DatasetWriter`), delivering (the
same for tables that come in many files, from any machine and to any place: `Deliveries`).
"""
