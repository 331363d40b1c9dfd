"""Files of orders that are laid out in another way than their name says, that are broken, huge, or no orders at all."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
import zstandard

from quivo_frames.builder import json_values, order_files
from quivo_frames.builder.build import build, build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.builder.inputs import open_sources
from quivo_frames.builder.order_index import OrderIndex
from quivo_frames.errors import ConfigError
from quivo_frames.standin.orders import order_json
from quivo_frames.storage import bounded_lines
from tests.support.depth import sampled

ORDERS = [order_json(number) for number in range(1, 6)]
IDS = list(range(1, 6))
PRETTY = [json.dumps(json.loads(body), indent=2).encode() for body in ORDERS]


def read_file(path: Path, content: bytes, **limits: int) -> list[tuple[int | None, str]]:
    """The id and the place of each order that is read from a file with this content; None: it is broken."""
    path.write_bytes(content)
    found = []
    for raw in order_files.read_orders(path, **limits):
        with suppress(ValueError, TypeError, KeyError):
            found.append((json.loads(raw.body)["orderId"], raw.place))
            continue
        found.append((None, raw.place))
    return found


def ids_of(found: list[tuple[int | None, str]]) -> list[int | None]:
    return [order_id for order_id, _ in found]


# The layout


SEPARATORS = {
    "nothing": b"",
    "blanks": b"  ",
    "a comma": b",",
    "a line end": b"\n",
    "a comma and a line end": b",\n",
    "an empty line": b"\n\n",
    "Windows line ends": b"\r\n",
}


@pytest.mark.parametrize("suffix", [".ndjson", ".jsonl", ".json", ".ndjson.gz", ".json.zst"])
@pytest.mark.parametrize("separator", SEPARATORS.values(), ids=SEPARATORS)
@pytest.mark.parametrize("bodies", [ORDERS, PRETTY], ids=["compact", "pretty-printed"])
@pytest.mark.parametrize("begin_and_end", [(b"", b""), (b"[", b"]"), (b"\xef\xbb\xbf", b"\n"), (b"[\n ", b"\n]\n")])
def test_every_order_is_read_however_a_file_is_laid_out(
    tmp_path: Path, suffix: str, separator: bytes, bodies: list[bytes], begin_and_end: tuple[bytes, bytes]
) -> None:
    begin, end = begin_and_end
    if b"[" in begin and b"," not in separator:
        separator = b"," + separator
    content = begin + separator.join(bodies) + end
    path = tmp_path / f"orders{suffix}"
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(path.suffix, bytes)
    assert ids_of(read_file(path, pack(content))) == IDS


def test_several_orders_on_one_line_are_all_read(tmp_path: Path) -> None:
    """Only the first was named, in a failure of the whole line."""
    content = ORDERS[0] + ORDERS[1] + b"\n" + ORDERS[2] + b"\n" + ORDERS[3] + b" \t" + ORDERS[4]
    assert read_file(tmp_path / "orders.ndjson", content) == [
        (1, "line 1, value 1"),
        (2, "line 1, value 2"),
        (3, "line 2"),
        (4, "line 3, value 1"),
        (5, "line 3, value 2"),
    ]
    tables = build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1)
    assert tables.orders["order_id"].to_list() == IDS


def test_a_pretty_printed_file_of_lines_gives_its_orders(tmp_path: Path) -> None:
    """Each of its lines was a failed order."""
    content = b"\n".join(PRETTY[:2])
    place = f"value 2, from line {PRETTY[0].count(10) + 2} on"
    assert read_file(tmp_path / "orders.ndjson", content) == [(1, "value 1, from line 1 on"), (2, place)]
    tables = build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1)
    assert (tables.failures.height, tables.orders["order_id"].to_list()) == (0, [1, 2])


@pytest.mark.parametrize("broken", range(5))
@pytest.mark.parametrize("name", ["orders.ndjson", "orders.json"])
def test_a_broken_order_costs_no_other_in_a_pretty_printed_file(tmp_path: Path, name: str, broken: int) -> None:
    for breakage in (lambda body: body[:-40], lambda body: body.replace(b":", b"", 1), lambda body: body + b"}"):
        bodies = [breakage(body) if place == broken else body for place, body in enumerate(PRETTY)]
        found = read_file(tmp_path / name, b"\n".join(bodies))
        assert ids_of(found) == [None if place == broken else place + 1 for place in range(5)]


@pytest.mark.parametrize("broken", range(5))
def test_a_broken_order_costs_no_other_on_its_line(tmp_path: Path, broken: int) -> None:
    bodies = [body.replace(b":", b"", 1) if place == broken else body for place, body in enumerate(ORDERS)]
    found = read_file(tmp_path / "orders.ndjson", b"".join(bodies) + b"\n" + ORDERS[0])
    assert ids_of(found) == [*(None if place == broken else place + 1 for place in range(5)), 1]


def test_lines_that_are_broken_stay_lines(tmp_path: Path) -> None:
    lines = [ORDERS[0][:50], b"oops", ORDERS[1], b'{"orderId":7}}', b'"}{"', ORDERS[2]]
    assert read_file(tmp_path / "orders.ndjson", b"\n".join([ORDERS[4], *lines])) == [
        (5, "line 1"), (None, "line 2"), (None, "line 3"), (2, "line 4"), (None, "line 5"), (None, "line 6"),
        (3, "line 7"),
    ]  # fmt: skip
    assert ids_of(read_file(tmp_path / "orders.ndjson", b"\n".join([ORDERS[0][:50], *ORDERS[1:]]))) == [
        None,
        2,
        3,
        4,
        5,
    ]


def test_a_brace_behind_a_brace_in_a_text_is_no_second_order(tmp_path: Path) -> None:
    body = json.dumps({"orderId": 1, "comment": '}{"orderId":2} { [1}, {'}).encode()
    for name in ("orders.ndjson", "orders.json"):
        assert ids_of(read_file(tmp_path / name, body + b"\n" + ORDERS[1])) == [1, 2]
        assert ids_of(read_file(tmp_path / name, b"[" + body + b",\n" + ORDERS[1] + b"]")) == [1, 2]


def test_pages_of_orders_one_behind_the_other_are_one_list(tmp_path: Path) -> None:
    pages = [b"[" + b",".join(ORDERS[:2]) + b"]", b"[]", b"[ " + b",".join(ORDERS[2:]) + b" ]"]
    for name in ("orders.ndjson", "orders.json"):
        for content in (b"\n".join(pages), b"".join(pages), b"[" + b",".join(pages) + b"]"):
            assert ids_of(read_file(tmp_path / name, content)) == IDS


def test_orders_in_orders_are_no_orders_of_their_own(tmp_path: Path) -> None:
    inner = b'{"orderId":9,"children":[{"orderId":1,"a":[]},{"orderId":2},{"comment":"x","orderId":3}]}'
    for broken in (ORDERS[0], ORDERS[0][:-20]):
        found = read_file(tmp_path / "orders.json", b"[" + b",".join([broken, inner, ORDERS[1], inner]) + b"]")
        assert ids_of(found) == [1 if broken == ORDERS[0] else None, 9, 2, 9]


@pytest.mark.long
def test_a_list_that_ends_between_two_orders_is_a_failure(tmp_path: Path) -> None:
    """The orders that are missing were missed by nobody."""
    path = tmp_path / "orders.json"
    for end in (b"", b",", b",\n"):
        path.write_bytes(b"[" + b",".join(ORDERS[:2]) + end)
        tables = build(path, tmp_path / "tables", jobs=1)
        assert tables.orders["order_id"].to_list() == [1, 2]
        assert "the file is cut off, and orders may be missing" in tables.failures["message"].item()
    path.write_bytes(b"[" + ORDERS[0] + b"," + ORDERS[1][:-5])
    assert len(list(order_files.read_orders(path))) == 2  # the second one says it


@pytest.mark.parametrize("width", [1, 2, 3, 7, 64, 1000, 5000])
def test_the_window_that_a_file_is_read_through_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    broken = [
        ORDERS[1][:-20],
        b'{"a":[{"b":1},{"c":',
        b'{"comment":"x","orderId":2}',
        b"<html>",
        b'{"orderId":3',
        b"null",
    ]
    for bodies in ([*broken[1:3], *broken[4:]], broken, ORDERS[:3]):
        for name, content in (
            ("orders.json", b"[" + b" ,\n ".join(bodies) + b"]"),
            ("orders.ndjson", b"{\n}\n" + b"\n".join(bodies)),
        ):
            path = tmp_path / name
            path.write_bytes(content)
            whole = list(order_files.read_orders(path))
            monkeypatch.setattr(json_values, "_CHUNK_BYTES", width)
            assert list(order_files.read_orders(path)) == whole
            monkeypatch.undo()


# Files that are no orders


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    ["._orders.ndjson", "~$orders.json", ".orders.json", "__MACOSX/._orders.json", ".ipynb_checkpoints/orders.json"],
)
def test_what_other_programs_keep_in_a_folder_is_no_failed_order(tmp_path: Path, name: str) -> None:
    (tmp_path / "orders.ndjson").write_bytes(ORDERS[0])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"\x00\x05\x16\x07 no order")
    assert order_files.find_order_files(tmp_path) == [tmp_path / "orders.ndjson"]
    tables = build(tmp_path, tmp_path.parent / "tables", jobs=1)
    assert (tables.failures.height, tables.orders.height) == (0, 1)


EMPTY_FILES = {
    "a.ndjson": b"", "b.json": b"", "c.json": b" \n\n", "d.ndjson": b"\xef\xbb\xbf", "e.json.gz": gzip.compress(b""),
    "f.ndjson.zst": zstandard.compress(b"\n"),
}  # fmt: skip


def test_empty_files_in_a_folder_are_no_failed_orders(tmp_path: Path) -> None:
    for name, content in EMPTY_FILES.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"is no file of orders but 6 empty ones\. Give files"):
        build(tmp_path, tmp_path.parent / "tables")
    (tmp_path / "orders.ndjson").write_bytes(ORDERS[0])
    tables = build(tmp_path, tmp_path.parent / "tables", jobs=1)
    assert (tables.failures.height, tables.orders.height) == (0, 1)


@pytest.mark.parametrize("name", EMPTY_FILES)
def test_an_empty_file_that_was_named_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(EMPTY_FILES[name])
    with pytest.raises(ConfigError, match=f"{name} is empty: there is no order in it"):
        build(tmp_path / name, tmp_path / "tables")


def test_a_pipe_is_refused_and_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "orders.ndjson")
    with pytest.raises(ConfigError, match="no file that can be read twice"):
        build(tmp_path / "orders.ndjson", tmp_path / "tables")


# Size


MIB = 2**20


def bomb(size: int) -> Iterator[bytes]:
    """One order, one of so many bytes, and one more; a line each."""
    yield ORDERS[0] + b'\n{"orderId":2,"comment":"'
    for _ in range(size // MIB):
        yield b"x" * MIB
    yield b'"}\n' + ORDERS[2] + b"\n"


def write_bomb(path: Path, size: int) -> None:
    compressor = zstandard.ZstdCompressor(level=19).compressobj()
    with path.open("wb") as file:
        for part in bomb(size):
            file.write(compressor.compress(part))
        file.write(compressor.flush())


LAYOUTS: dict[str, Callable[[bytes], bytes]] = {
    "orders.ndjson": lambda lines: lines,
    "orders.ndjson.gz": lambda lines: gzip.compress(lines, 1),
    "orders.ndjson.zst": zstandard.compress,
    "orders.json": lambda lines: b"[" + lines.strip().replace(b"\n", b",") + b"]",
    "lines.json": lambda lines: lines,
    "pretty.ndjson": lambda lines: b"\n".join([PRETTY[0], *lines.splitlines()[1:]]),
}


@pytest.mark.long
@pytest.mark.parametrize("name", LAYOUTS)
def test_an_order_beyond_the_limit_is_a_failure_and_those_behind_it_count(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(LAYOUTS[name](b"".join(bomb(3 * MIB))))
    tables = build_with(BuildSettings(max_order_bytes=MIB), tmp_path / name, tmp_path / "tables", jobs=1)
    assert tables.orders["order_id"].to_list() == [1, 3]
    message = tables.failures["message"].item()
    assert name in message
    assert ("element 2" if name == "orders.json" else "line" if "pretty" in name else "line 2") in message
    assert "It has 3,145,7" in message
    assert "more than the 1,048,576 bytes that are read as one order" in message
    assert (tables.manifest["orders"]["in"], tables.manifest["orders"]["failed"]) == (3, 1)


def test_a_whole_file_beyond_the_limit_is_a_failure(tmp_path: Path) -> None:
    for content in (b"".join(bomb(2 * MIB)).split(b"\n")[1], b'{\n"comment":"' + b"x" * 2 * MIB + b'"\n}'):
        (tmp_path / "order.json").write_bytes(content)
        tables = build_with(BuildSettings(max_order_bytes=MIB), tmp_path / "order.json", tmp_path / "t", jobs=1)
        assert "(order.json, whole file): It has 2,097,1" in tables.failures["message"].item()


def test_an_order_as_long_as_the_limit_is_read(tmp_path: Path) -> None:
    body = b'{"orderId":2,"comment":"' + b"x" * (3 * MIB) + b'"}'
    for name, content in (("a.ndjson", body + b"\n"), ("b.json", b"[" + body + b"]"), ("c.json", body)):
        assert ids_of(read_file(tmp_path / name, content, max_bytes=len(body) + 1)) == [2]
        assert ids_of(read_file(tmp_path / name, content, max_bytes=len(body) - 1)) == [None]


@pytest.mark.long
def test_the_limit_is_a_setting_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "orders.ndjson").write_bytes(b"".join(bomb(3 * MIB)))
    for wanted, failed in (("", 0), ("1", 1), ("4", 0)):
        monkeypatch.setenv("QUIVO_MAX_ORDER_MIB", wanted)
        assert build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1).failures.height == failed
    for wrong in ("0", "-1", "1.5", "256MB", "9" * 5000, "²"):
        monkeypatch.setenv("QUIVO_MAX_ORDER_MIB", wrong)
        with pytest.raises(ConfigError, match="QUIVO_MAX_ORDER_MIB must be a whole number"):
            build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1)


def test_reading_can_start_behind_a_line_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "orders.ndjson"
    path.write_bytes(b"".join(bomb(3 * MIB)) + ORDERS[3] + ORDERS[4])
    settings = BuildSettings(orders_per_seek_point=1, orders_per_partition=1, bytes_per_partition=1)
    index = OrderIndex(open_sources([path], None, MIB), settings)
    raws = [raw for partition in index.partition_all(1) for raw in partition.read_orders()]
    assert [raw.place for raw in raws] == ["line 1", "line 2", "line 3", "line 4, value 1", "line 4, value 2"]
    assert [bool(raw.problem) for raw in raws] == [False, True, False, False, False]


def test_lines_are_told_apart_wherever_a_chunk_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_lines, "_CHUNK_BYTES", 4)
    content = b"abc\nabcd\nabcdefgh\n\nabcdefghi\nx"
    lines = content.splitlines(keepends=True)
    for limit in (4, 5, 9, 10, 100):
        found = list(bounded_lines.read_line_blocks(BytesIO(content), limit))
        texts = [[None] if text is None else bytes(text).splitlines(keepends=True) for _, _, text in found]
        assert [text for block in texts for text in block] == [line if len(line) <= limit else None for line in lines]
        assert sum(size for _, size, _ in found) == len(content)
        for offset, size, text in found:
            assert text is None or content[offset : offset + size] == text
        behind = list(bounded_lines.read_line_blocks(BytesIO(content[4:]), limit, 4))
        assert [offset for offset, _, _ in behind] == [offset for offset, _, _ in found if offset >= 4]


def memory_of(code: str, path: Path) -> float:
    """The megabytes that some code takes in a process of its own; the path is its argument."""
    peak = "print(re.search('VmHWM:[^0-9]*([0-9]+)', Path('/proc/self/status').read_text())[1])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{peak}", str(path)], capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1024


READ_ALL = """
import re, sys
from pathlib import Path
from quivo_frames.builder.order_files import read_orders
assert [bool(raw.problem) for raw in read_orders(Path(sys.argv[1]))] == [False, True, False]
"""


@pytest.mark.long
def test_a_small_file_that_is_one_line_of_gigabytes_takes_little_memory(tmp_path: Path) -> None:
    """It took 6.6 GB and 150 s."""
    write_bomb(tmp_path / "orders.ndjson.zst", 3072 * MIB)
    assert (tmp_path / "orders.ndjson.zst").stat().st_size < 120_000
    assert memory_of(READ_ALL, tmp_path / "orders.ndjson.zst") < 500


@pytest.mark.long
def test_what_is_beyond_the_limit_is_not_kept(tmp_path: Path) -> None:
    write_bomb(tmp_path / "orders.ndjson.zst", 300 * MIB)
    code = READ_ALL.replace("(Path(sys.argv[1]))", "(Path(sys.argv[1]), max_bytes=2**20)")
    assert memory_of(code, tmp_path / "orders.ndjson.zst") < 150


BROKEN_ELEMENTS: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda body: body[:-30],
    "not closed": lambda body: body[:-2],
    "a quote too many": lambda body: body.replace(b'"', b'""', 1),
    "a text not closed": lambda body: body[:60],
    "not one orderId first": lambda body: body.replace(b'{"orderId"', b'{"x":[{"y":1},{"orderId"', 1),
}


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("breakage", sampled(pytest.param(how, id=name) for name, how in BROKEN_ELEMENTS.items()))
def test_a_list_of_many_broken_orders_is_read_in_no_time(breakage: Callable[[bytes], bytes], every: int) -> None:
    """3,000 broken ones of 30,000 took 34 s."""
    bodies = [
        json.dumps({"orderId": number, "comment": "x" * 600, "positions": [{"sku": "A"}] * 3}).encode()
        for number in range(30_000)
    ]
    content = (
        b"[" + b",".join(breakage(body) if place % every == 0 else body for place, body in enumerate(bodies)) + b"]"
    )
    began = time.process_time()
    values = sum(1 for _ in json_values.read_elements(BytesIO(content), 2**28))
    assert time.process_time() - began < 6
    assert values >= 27_000 or "orderId" in breakage(b'{"orderId"').decode()


@pytest.mark.long
def test_a_list_of_orders_takes_the_memory_of_a_few(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    with path.open("wb") as file:
        file.write(b"[" + b",".join(ORDERS))
        for _ in range(100):
            file.write((b",\n" + b",\n".join(ORDERS)) * 100)
        file.write(b"]")
    size = path.stat().st_size / MIB
    code = READ_ALL.replace("[bool(raw.problem)", "sum(1").replace("] == [False, True, False]", ") == 50_005")
    assert size > 250
    assert memory_of(code, path) < 100


SEPARATED: dict[str, Callable[[list[bytes]], bytes]] = {
    "orders.json": lambda bodies: b"[" + b",".join(bodies) + b"]",
    "lines.json": lambda bodies: b"[\n" + b",\n".join(bodies) + b"\n]",
    "orders.ndjson": b"\n".join,
    "pretty.ndjson": b"\n".join,
}


@pytest.mark.drawn
@pytest.mark.parametrize("seed", sampled(range(40)))
@pytest.mark.parametrize("name", SEPARATED)
def test_damage_of_any_kind_costs_no_other_order(tmp_path: Path, name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    bodies = list(PRETTY if name == "pretty.ndjson" else ORDERS)
    damaged = chance.randrange(5)
    body, at = bytearray(bodies[damaged]), chance.randrange(len(bodies[damaged]))
    match chance.randrange(4):
        case 0:
            body[at] = chance.randrange(256)
        case 1:
            del body[at : at + chance.randrange(1, 80)]
        case 2:
            body[at:at] = chance.choice([b'"', b"{", b"}", b"[", b"]", b",", b"\\", b"}{", b"},{"])
        case 3:
            del body[max(at, 20) :]
    bodies[damaged] = bytes(body)
    found = ids_of(read_file(tmp_path / name, SEPARATED[name](bodies)))
    assert [order_id for order_id in found if order_id in set(IDS) - {damaged + 1}] == [
        n for n in IDS if n != damaged + 1
    ]
