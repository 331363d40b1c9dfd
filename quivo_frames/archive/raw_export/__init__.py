"""The raw export of an archive: its answers as parquet files in a folder or an object store, for many machines.

    ADDRESS/segment-00000-<digest>.parquet     answers by order_id and response; an order is in one file
    ADDRESS/segments.json                      the index of the segments, written last, by compare-and-swap

A segment is named by its number and its content: one that exists already is not written again, and one that is being
read never changes. Segments that the index does not name are never read; the next completed export removes them.

The index has a digest of all columns but the bodies, and these columns have a sha256 of each body: nothing in a damaged
segment is taken for an answer, and the newest answer of an order, which has the highest number, is found without
reading a body.
"""
