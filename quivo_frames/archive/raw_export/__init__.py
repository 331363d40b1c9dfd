"""Noun: the answers of an archive as parquet files, in a folder or an object store, where many machines read. Floor 3.

    ADDRESS/segment-00000-<digest>.parquet     answers, by order_id, fetched_at, response; all about an order in one
    ADDRESS/segments.json                      last, by swap: which segments there are, and what is in them

A segment is named by its number and content, so what is there already is not written again, and what is read never
changes. Segments that the marker does not name are never read; the next export that is completed removes them.

The marker has a digest of all columns but the bodies, these have a sha256 of each body: no value of a damaged segment
is taken for one of an answer, and no body has to be read to tell which answer of an order is the newest.

Its rooms: marker, writing (segments are made), reading (`Segments` that are there).
"""
