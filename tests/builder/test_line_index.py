"""The first look at lines of orders: the same whatever finds them, and the same as a look at one line at a time."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from quivo_frames.builder import line_index, order_files
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.builder.inputs import open_sources
from quivo_frames.builder.line_index import LineIndex, index_lines
from quivo_frames.builder.order_index import OrderIndex
from quivo_frames.flattening.core_choice import compiled_core
from quivo_frames.storage import bounded_lines
from tests.support.depth import sampled

USUAL = [
    b'{"orderId":7,"created":null}', b'{"orderId":7}', b'{"orderId":-12,"a":"}"}', b'{"orderId":0,"a":[{"b":1},{"c":2}]}',
    b'{"orderId":1234567890123456789,"a":1}', b'{"orderId":9223372036854775807}',
    b'{"orderId":5,"cut', b'{"orderId":6,"a":"\xff"}', b'{"orderId":8,"orderId":9}', b'{"orderId":1,"a":"x\x00y"}',
]  # fmt: skip
UNUSUAL = [
    b"", b" ", b"\t\r", b"{", b"null", b"[]", b'{"orderId":"7"}', b'{"orderId": 7}', b' {"orderId":7}', b'{"orderId":7 }',
    b'{"orderId":07}', b'{"orderId":-0,"a":1}', b'{"orderId":7.0}', b'{"orderId":1e3}', b'{"orderId":9223372036854775808}',
    b'{"orderId":-9223372036854775809}', b'{"orderId":-9223372036854775808}', b'{"orderId":12345678901234567890}', b'{"orderId":}', b'{"orderId":7',
    b'{"orderId":-}', b'{"data":{"orderId":7}}', b'\xef\xbb\xbf{"orderId":7}', b'{"orderId":7}{"orderId":8}',
    b'{"orderId":7} \t{"orderId":8}', b'{"orderId":7,"a":"}{"}', b'{"orderId":7,"a":{}}\r{', b"\x0c", b'\x0b{"orderId":7}',
    b'{"orderid":7}', b'{"orderId":+7}', b'{"orderId":true}', b'{"orderId":7;}',
]  # fmt: skip
LINE_ENDS = [b"\n", b"\n", b"\n", b"\r\n", b" \n", b"\t\r\n", b"\x0c\n", b"\n\n"]


def look_at_each_line(text: bytes) -> LineIndex:
    """The same, one line at a time."""
    lines = text.split(b"\n")
    begins = [sum(map(len, lines[:number])) + number for number in range(len(lines))]
    if not lines[-1]:
        lines, begins = lines[:-1], begins[:-1]
    order_ids, unusual = [], []
    for number, line in enumerate(lines):
        found = re.match(rb'\{"orderId":(-?\d+)[,}]', line)
        is_usual = found and str(int(found[1])).encode() == found[1] and abs(int(found[1])) < 2**63
        if found and is_usual and not re.search(rb"\}[ \t\r]*\{", line):
            order_ids.append(int(found[1]))
        else:
            order_ids.append(0)
            unusual.append(number)
    return LineIndex(order_ids, [len(line.rstrip()) for line in lines], begins, unusual)


def draw_text(chance: random.Random) -> bytes:
    kinds = [USUAL] if chance.random() < 0.3 else [USUAL, UNUSUAL]
    lines = [chance.choice(chance.choice(kinds)) + chance.choice(LINE_ENDS) for _ in range(chance.randint(1, 12))]
    return b"".join(lines) if chance.random() < 0.5 else b"".join(lines).rstrip(b"\n") or b" "


def indexes_of(text: bytes) -> list[LineIndex]:
    """What each way finds: with the core as well, where there is one; in bytes, and in a part of them."""
    ways = [line_index._index_lines_in_python] + [index_lines] * (compiled_core() is not None)
    texts = [text, memoryview(b"\n}" + text + b'{"orderId":3}')[2 : 2 + len(text)]]
    return [LineIndex(*map(list, find(given))) for find in ways for given in texts]


@pytest.mark.parametrize("line", USUAL + UNUSUAL, ids=repr)
def test_a_line_is_usual_or_not(line: bytes) -> None:
    for end in LINE_ENDS:
        for found in indexes_of(line + end):
            assert found == look_at_each_line(line + end)
            assert (found.unusual[:1] == [0]) == (line in UNUSUAL)


@pytest.mark.drawn
def test_every_way_finds_the_same() -> None:
    for seed in sampled(range(5_000)):
        text = draw_text(random.Random(seed))
        assert all(found == look_at_each_line(text) for found in indexes_of(text)), seed


def read_one_by_one(text: bytes) -> list[tuple[bytes, str]]:
    """The orders of lines and their places, without an index."""
    found = []
    for number, line in enumerate(text.split(b"\n"), 1):
        for position, raw in order_files._read_unusual_line("o", order_files.LinePosition(number, 0), line, 2**28):
            assert position is None or position.line == number
            found.append((raw.body, raw.place))
    return found


@pytest.mark.drawn
@pytest.mark.parametrize("chunk", [2**20, *(pytest.param(chunk, marks=pytest.mark.long) for chunk in (64, 7))])
def test_orders_are_read_the_same_with_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(bounded_lines, "_CHUNK_BYTES", chunk)
    path = tmp_path / "o.ndjson"
    for seed in sampled(range(600)):
        text = b'{"orderId":1}\n{"orderId":2}\n' + draw_text(random.Random(seed))  # so that it is read as lines
        path.write_bytes(text)
        expected = read_one_by_one(text)
        assert [(raw.body, raw.place) for raw in order_files.read_orders(path)] == expected, seed
        settings = BuildSettings(orders_per_seek_point=1, orders_per_partition=1)
        partitions = OrderIndex(open_sources([path]), settings).partition_all(1)
        kept = [(raw.body, raw.place) for partition in partitions for raw in partition.read_orders()]
        assert [order for order in expected if order in kept] == kept, seed
        assert len(kept) == len(expected) - _superseded(path), seed


def _superseded(path: Path) -> int:
    return len(OrderIndex(open_sources([path])).superseded_positions)


def test_ids_of_19_digits_are_seen_without_decoding_an_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_files, "read_identity", None)
    monkeypatch.setattr(order_files, "scan_identity", None)
    path = tmp_path / "o.ndjson"
    path.write_bytes(b"".join(b'{"orderId":%d,"comment":"x"}\n' % (2**62 + number) for number in range(50)))
    ((orders, _),) = open_sources([path])[0].index_orders(exact=False)
    assert orders["order_id"].to_list() == [2**62 + number for number in range(50)]


def test_times_are_read_where_an_id_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "o.ndjson"
    days = {1: "2026-01-03", 2: "2026-01-01", 3: "2026-01-02"}
    lines = [{"orderId": 2**62 + 1, "lastModified": f"{day}T00:00:00Z"} for day in days.values()]
    path.write_text("\n".join(json.dumps(line, separators=(",", ":")) for line in lines))
    assert list(OrderIndex(open_sources([path])).superseded_positions) == [1, 2]
