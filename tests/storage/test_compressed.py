"""Compressed files and frames, written and read by another library as well: zstandard."""

from __future__ import annotations

import random
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from quivo_frames.standin.orders import order_json
from quivo_frames.storage.compressed import (
    READ_ERRORS,
    BrokenFrame,
    compress_frame,
    decompress_frame,
    open_decompressed,
)

ORDER = order_json(7)
CONTENTS = [b"", b"x", ORDER, ORDER * 300, random.Random(1).randbytes(300_000)]


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_frames_are_the_same_as_those_of_another_library(content: bytes) -> None:
    packed = compress_frame(content)
    assert zstandard.decompress(packed) == content
    assert zstandard.frame_content_size(packed) == len(content)
    assert len(packed) <= len(zstandard.compress(content)) * 1.01
    for level in (-5, 1, 3, 19):
        for checked in (False, True):
            other = zstandard.ZstdCompressor(level=level, write_checksum=checked).compress(content)
            assert decompress_frame(other, len(content)) == content


PACKED = zstandard.ZstdCompressor(write_checksum=True).compress(ORDER)
BOMB = zstandard.compress(bytes(2**26))


@pytest.mark.parametrize("cut", [0, 1, 4, 9, len(PACKED) // 2, len(PACKED) - 1])
def test_a_frame_that_is_cut_off_is_broken(cut: int) -> None:
    with pytest.raises(BrokenFrame):
        decompress_frame(PACKED[:cut], len(ORDER))


def test_a_changed_frame_is_broken_or_what_it_was() -> None:
    chance = random.Random(2)
    for _ in range(300):
        changed = bytearray(PACKED)
        changed[chance.randrange(len(PACKED))] ^= 1 << chance.randrange(8)
        with suppress(BrokenFrame):
            assert decompress_frame(bytes(changed), len(ORDER)) == ORDER


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (BOMB, "another size"),
        (zstandard.ZstdCompressor(write_content_size=False).compress(ORDER), "another size"),
        (b"plain", "cannot be decompressed"),
        (b"", "cannot be decompressed"),
    ],
    ids=["more", "unknown", "plain", "none"],
)
def test_a_frame_of_another_size_is_not_unpacked(packed: bytes, words: str) -> None:
    tracemalloc.start()
    with pytest.raises(BrokenFrame, match=words):
        decompress_frame(packed, len(ORDER))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_what_stands_behind_a_frame_is_not_unpacked() -> None:
    tracemalloc.start()
    assert decompress_frame(PACKED + BOMB, len(ORDER)) == ORDER
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_of_a_file_no_more_is_unpacked_than_is_read(tmp_path: Path) -> None:
    """32 MiB were, for each KiB of the file."""
    (tmp_path / "bomb.ndjson.zst").write_bytes(BOMB)
    tracemalloc.start()
    with open_decompressed(tmp_path / "bomb.ndjson.zst") as file:
        assert file.read(10) == bytes(10)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
        tracemalloc.stop()
        assert len(file.read()) == 2**26 - 10


def test_a_file_of_many_frames_is_read_in_full(tmp_path: Path) -> None:
    parts = [order_json(number) for number in range(1, 200)]
    compressor = zstandard.ZstdCompressor().compressobj()  # of a content whose size is not known before
    last = b"".join(compressor.compress(part) for part in parts) + compressor.flush()
    skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"  # a frame that readers pass over
    packed = b"".join(map(zstandard.compress, parts)) + zstandard.compress(b"") + skipped + last
    for name in ("a.zst", "B.ZST"):
        (tmp_path / name).write_bytes(packed)
        with open_decompressed(tmp_path / name) as file:
            assert file.read() == b"".join(parts) * 2


def test_a_file_without_a_byte_is_empty(tmp_path: Path) -> None:
    (tmp_path / "none.zst").touch()
    with open_decompressed(tmp_path / "none.zst") as file:
        assert file.read() == b""


_wide = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=28)).compressobj()
WIDE = _wide.compress(ORDER) + _wide.flush()


@pytest.mark.parametrize("packed", [PACKED[:-3], PACKED[:3], ORDER, PACKED + b"garbage", WIDE])
def test_a_broken_file_or_one_that_needs_much_memory_is_an_error(tmp_path: Path, packed: bytes) -> None:
    (tmp_path / "broken.zst").write_bytes(packed)
    with open_decompressed(tmp_path / "broken.zst") as file, pytest.raises(READ_ERRORS):
        file.read()
