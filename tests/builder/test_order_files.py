"""Files of orders: every form that they come in, and a message for every other."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from quivo_frames.builder import order_files
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.flatten import flatten
from quivo_frames.standin.orders import order_json

ORDERS = [json.dumps({"orderId": n, "comment": 'a]},{" \\'}).encode() for n in (1, 2, 3)]
LINES = b"\n".join(ORDERS)
ARRAY = b"[" + b",".join(ORDERS) + b"]"
PLACES = ["line 1", "line 2", "line 3"]


@pytest.fixture
def places(tmp_path: Path) -> Callable[[str, bytes], list[str]]:
    """Writes a file, and tells the places of the orders that are read from it; their bodies must be the ORDERS."""

    def places(name: str, content: bytes) -> list[str]:
        path = tmp_path / name
        path.write_bytes(content)
        assert order_files.find_order_files(path) == [path]
        raws = list(order_files.read_orders(path))
        assert [raw.body for raw in raws] == ORDERS[: len(raws)]
        assert {raw.source for raw in raws} <= {name}
        assert all(raw.order_id is None and raw.fetched_at is None for raw in raws)
        return [raw.place for raw in raws]

    return places


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("orders.ndjson", LINES),
        ("orders.jsonl", LINES + b"\n"),
        ("ORDERS.NDJSON", LINES),
        ("orders.v2.ndjson", LINES),
        ("orders.ndjson.gz", gzip.compress(LINES, mtime=0)),
        ("orders.jsonl.zst", zstandard.compress(LINES)),
        ("two-members.ndjson.gz", gzip.compress(ORDERS[0] + b"\n", mtime=0) + gzip.compress(b"\n".join(ORDERS[1:]))),
        ("two-frames.ndjson.zst", zstandard.compress(ORDERS[0] + b"\n") + zstandard.compress(b"\n".join(ORDERS[1:]))),
        ("crlf.ndjson", b"\r\n".join(ORDERS) + b"\r\n"),
        ("bom.ndjson", b"\xef\xbb\xbf" + LINES),
        ("lines.json", LINES),
        ("lines.json.gz", gzip.compress(LINES, mtime=0)),
    ],
)
def test_an_order_a_line_is_read_with_its_line(places: Callable[..., list[str]], name: str, content: bytes) -> None:
    assert places(name, content) == PLACES


def test_blank_lines_are_no_orders_but_count_as_lines(places: Callable[..., list[str]]) -> None:
    assert places("blank.ndjson", b"\n" + b"\n \n".join(ORDERS)) == ["line 2", "line 4", "line 6"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("orders.json", ARRAY),
        ("orders.json.gz", gzip.compress(ARRAY, mtime=0)),
        ("orders.json.zst", zstandard.compress(ARRAY)),
        ("pretty.json", b"\xef\xbb\xbf\r\n[\n  " + b" ,\n  ".join(ORDERS) + b"\n]\n"),
    ],
)
def test_a_list_of_orders_is_read_with_its_places(places: Callable[..., list[str]], name: str, content: bytes) -> None:
    assert places(name, content) == ["element 1", "element 2", "element 3"]


def test_a_single_order_is_the_whole_file(places: Callable[..., list[str]], tmp_path: Path) -> None:
    assert places("one.json", b"\xef\xbb\xbf " + ORDERS[0] + b"\n") == ["whole file"]
    pretty = json.dumps(json.loads(order_json(5)), indent=2).encode()
    (tmp_path / "pretty.json").write_bytes(pretty)
    assert [raw.body for raw in order_files.read_orders(tmp_path / "pretty.json")] == [pretty]


def test_a_large_packed_file_is_read_in_full(tmp_path: Path) -> None:
    lines = b"".join(order_json(n) + b"\n" for n in range(1, 401))
    assert len(lines) > 2**21  # more than any buffer on the way
    for name, packed in (
        ("a.ndjson.zst", zstandard.compress(lines)),
        ("a.ndjson.gz", gzip.compress(lines, 1, mtime=0)),
    ):
        (tmp_path / name).write_bytes(packed)
        assert b"".join(raw.body + b"\n" for raw in order_files.read_orders(tmp_path / name)) == lines


BREAKAGES = {
    "cut off": lambda body: body[: len(body) // 2],
    "cut off inside a text": lambda body: body[: body.index(b'"comment"') + 12] if b'"comment"' in body else body[:40],
    "stray comma": lambda body: body.replace(b",", b",,", 1),
    "one bracket too many": lambda body: body + b"}",
    "wrong bracket": lambda body: body.replace(b"[", b"{", 1),
    "not JSON at all": lambda _: b"<html>oops</html>",
    "invalid UTF-8": lambda body: body.replace(b'"created"', b'"cre\xffted"', 1),
    "cut off, and not UTF-8": lambda body: body.replace(b'"created"', b'"cre\xffted"', 1)[: len(body) // 2],
    "NaN": lambda body: body[:-1] + b',"totalWeight":NaN}',
    "deep": lambda body: body[:-1] + b',"deep":' + b"[" * 5000 + b"]" * 5000 + b"}",
}


@pytest.mark.long
@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES)
def test_one_broken_element_of_500_costs_no_other(tmp_path: Path, breakage: Callable[[bytes], bytes]) -> None:
    bodies = [order_json(n) for n in range(1, 501)]
    bodies[250] = breakage(bodies[250])
    path = tmp_path / "orders.json"
    path.write_bytes(b"[" + b",\n".join(bodies) + b"]")
    raws = list(order_files.read_orders(path))
    assert [raw.body for raw in raws] == bodies
    assert raws[250].place == "element 251"
    frames = flatten(raws)
    assert frames.failures["place"].to_list() == ["element 251"]
    assert frames.orders["order_id"].to_list() == [n for n in range(1, 501) if n != 251]


def test_an_order_behind_a_broken_one_is_known_by_its_id_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_bytes(b'[{"a":[{"b":1},{"c":, {"comment":"x","orderId":2} ,{"orderId":3]')
    assert [raw.body for raw in order_files.read_orders(path)] == [
        b'{"a":[{"b":1},{"c":',
        b'{"comment":"x","orderId":2}',
        b'{"orderId":3',
    ]


def test_broken_orders_in_a_row_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    parts = [b'{"orderId":1,"a":[{"b":', b'{ "orderId": 2, "a": "x', ORDERS[2]]
    path.write_bytes(b"[" + b",".join(parts) + b"]")
    assert [raw.body for raw in order_files.read_orders(path)] == parts


def test_a_list_that_is_cut_off_gives_all_that_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_bytes(ARRAY[: ARRAY.index(ORDERS[2]) + 9])
    assert [raw.body for raw in order_files.read_orders(path)] == [ORDERS[0], ORDERS[1], ORDERS[2][:9]]


def test_broken_lines_under_json_cost_no_other(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    for broken in range(3):
        lines = [body[:8] if place == broken else body for place, body in enumerate(ORDERS)]
        path.write_bytes(b"\n".join(lines))
        assert [raw.body for raw in order_files.read_orders(path)] == lines


def test_a_broken_single_order_is_one_raw_order(tmp_path: Path) -> None:
    path = tmp_path / "order.json"
    for content in (b"<html>\n</html>", b'{"orderId":', json.dumps(json.loads(order_json(5)), indent=2).encode()[:-20]):
        path.write_bytes(content)
        assert [(raw.body, raw.place) for raw in order_files.read_orders(path)] == [(content.strip(), "whole file")]


def test_files_without_orders_give_none(tmp_path: Path) -> None:
    for name, content in (
        ("a.ndjson", b""),
        ("b.json", b"[]"),
        ("c.jsonl", b"\n\n"),
        ("d.ndjson.gz", gzip.compress(b"", mtime=0)),
        ("e.ndjson.zst", zstandard.compress(b"")),
        ("f.json", b" \r\n"),
        ("g.json", b"\xef\xbb\xbf"),
        ("h.json", b"[[],[ ]]\n[]"),
    ):
        (tmp_path / name).write_bytes(content)
        assert list(order_files.read_orders(tmp_path / name)) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.ndjson.gz", gzip.compress(LINES, mtime=0)[:-9]),
        ("damaged.ndjson.gz", gzip.compress(LINES, mtime=0)[:-8] + b"00000000"),
        ("plain.ndjson.gz", LINES),
        ("cut.ndjson.zst", zstandard.compress(LINES)[:-3]),
        ("header.ndjson.zst", zstandard.compress(LINES)[:3]),
        ("plain.ndjson.zst", LINES),
        ("garbage-behind.ndjson.zst", zstandard.compress(LINES) + b"garbage"),
    ],
)
def test_a_packed_file_that_is_damaged_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{name} cannot be read"):
        list(order_files.read_orders(path))


def test_a_file_that_the_system_refuses_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "orders.ndjson"
    path.symlink_to(path)
    with pytest.raises(ConfigError, match=r"orders\.ndjson cannot be read: Too many levels of symbolic links"):
        list(order_files.read_orders(path))


@pytest.mark.parametrize("name", ["orders.csv", "orders", "orders.gz", "orders.json.bz2", "json"])
def test_a_file_of_another_kind_is_refused_with_the_kinds_that_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(LINES)
    with pytest.raises(ConfigError, match=r"\.ndjson, \.jsonl, \.json \(\.gz, \.zst\)"):
        order_files.find_order_files(tmp_path / name)


def test_a_folder_means_the_files_of_orders_in_it_sorted(tmp_path: Path) -> None:
    for name in ("b.json", "a.ndjson.gz", "notes.txt", "deeper/c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(LINES) if name.endswith(".gz") else LINES)
    (tmp_path / "folder.json").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in order_files.find_order_files(tmp_path)]
    assert found == ["a.ndjson.gz", "b.json", "deeper/c.jsonl"]


def test_nothing_and_an_empty_folder_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no file"):
        order_files.find_order_files(tmp_path / "nothing.json")
    with pytest.raises(ConfigError, match="no file of orders"):
        order_files.find_order_files(tmp_path)
