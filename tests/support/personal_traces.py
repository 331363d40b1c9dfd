"""Orders whose personal texts can be recognised, and the search for them in every byte of files, also unpacked."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from contextlib import suppress
from pathlib import Path

import duckdb
import polars as pl
import zstandard

from quivo_frames.standin.orders import order_json


def marked_order(order_id: int, mark: str, **more: object) -> bytes:
    """A stand-in order whose personal texts all begin with a mark that stands nowhere else."""
    order = json.loads(order_json(order_id))
    order |= {"comment": f"{mark} comment", "customerIdentifier": f"{mark} customer", "novelty": f"{mark} novelty"}
    order["deliveryAddress"] = {"name1": f"{mark} name", "city": "Vienna", "country": "AT"}
    order["customAttributes"] = {"note": f"{mark} note"}
    order |= {"orderIdentifier": f"shop-{order_id}", "piiDataRemoved": False}
    return json.dumps(order | more).encode()


def files_with(folder: Path, mark: str) -> list[str]:
    """The files of a folder whose bytes hold a text, as they are or unpacked; also half-written ones."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return [str(file.relative_to(folder)) for file in files if mark.encode() in file.read_bytes() + unpacked(file)]


def unpacked(file: Path) -> bytes:
    """What a file holds in compressed form, as far as it can be read."""
    content = file.read_bytes()
    found = b""
    with suppress(Exception):  # half a file
        if content[:4] == b"PAR1":
            found = _cells(pl.read_parquet(io.BytesIO(content)))
        elif content[:6] == b"ARROW1":
            found = _cells(pl.read_ipc(io.BytesIO(content), memory_map=False))
        elif content[:2] == b"PK":
            with zipfile.ZipFile(file) as archive:
                found = b"".join(map(archive.read, archive.namelist()))
        elif content[8:12] == b"DUCK":
            found = _cells_of_database(file)
        elif content[:15] == b"SQLite format 3":
            found = _bodies_of_archive(file)
    return found


def _cells(frame: pl.DataFrame) -> bytes:
    return b"\n".join(str(column.to_list()).encode() for column in frame)


def _cells_of_database(file: Path) -> bytes:
    with duckdb.connect(file, read_only=True) as db:
        names = [name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return b"".join(str(db.execute(f'SELECT * FROM "{name}"').fetchall()).encode() for name in names)


def _bodies_of_archive(file: Path) -> bytes:
    db = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    bodies = [zstandard.ZstdDecompressor().decompress(body) for (body,) in db.execute("SELECT body FROM responses")]
    db.close()
    return b"".join(bodies)
