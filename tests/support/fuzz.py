"""Flattens damaged orders and checks what must hold for each of them: `python -m tests.support.fuzz --count 100000 --seed 7`.

    It never raises.
    Orders in = orders in the tables + failures; which is which agrees with `independent_flattener.py`.
    The tables hold, row by row and cell by cell, what the independent flattener read, and not a value more.
    Notes say how often a decision was needed, and where.
    Failures have a known rule, a path that leads into the order, and no name and no e-mail address of it.

`--only NUMBER` repeats a single mutant, `--show` prints it; a find is printed with the smallest mutant that still has it.
"""

from __future__ import annotations

import argparse
import functools
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

from quivo_frames.flattening.core_choice import compiled_core
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.messages import NOTES, RULES
from tests.support import independent_flattener
from tests.support.both_cores import list_differences, raw_orders
from tests.support.independent_flattener import Cells, FreeForm, Number, Pairs, parse_json
from tests.support.mutations import JsonText, mutated_order, unmutated_order, write_json

ORDERS_PER_CALL = 50
MUTANTS_PER_PROGRESS_LINE = 5_000
FINDS_SHRUNK = 5
"""How many finds of a kind are reduced to a small order, which takes some seconds each."""
_RULES_OF_VALUES = {"wrong_type", "not_whole", "out_of_range", "not_an_instant", "not_a_day"}
_DERIVED_COLUMN = re.compile(
    r"order_id|ordinal|depth|fetched_at|\w+_key|(fulfillment_order|shipment|shipment_position)_id"
)
_CHECK_ALONE = "to be looked at alone"
_MUST_FAIL, _MUST_NOT_FAIL = "what the tables cannot hold is a failure", "what the tables can hold is no failure"
_SAME_OF_BOTH_CORES = "both cores make the same tables, failures and notes"
_NOTHING_PRIVATE = "no message tells a name or an address"


class Find(NamedTuple):
    """A broken promise: by which mutant (None: only by several together), and how it shows."""

    promise: str
    number: int | None
    seen: str


def find_broken_promises(
    bodies: Sequence[bytes], numbers: Sequence[int] | None = None, private: Sequence[set[str]] = ()
) -> list[Find]:
    """The promises that break when these orders are flattened together, each with its order where one is to blame."""
    numbers = range(len(bodies)) if numbers is None else numbers
    finds = [*_check_together(bodies, private)]
    if not finds or len(bodies) == 1:
        finds = [find for find in finds if find[0] != _CHECK_ALONE]
        return [Find(promise, numbers[0], seen) for promise, seen in finds]
    # Two mutants may have got the same id: alone, each has an outcome of its own.
    alone = [
        find
        for at, body in enumerate(bodies)
        for find in find_broken_promises([body], [numbers[at]], [private[at]] if private else ())
    ]
    if alone or any(promise == _CHECK_ALONE for promise, _ in finds):
        return alone
    return [Find(promise, None, seen) for promise, seen in finds]


def _check_together(bodies: Sequence[bytes], private: Sequence[set[str]]) -> Iterator[tuple[str, str]]:
    try:
        frames = flatten(bodies)
    except Exception as error:  # noqa: BLE001 - any at all is a find
        yield "raises", f"{type(error).__name__}: {error}"[:300]
        return
    if "repeated_order" in frames.notes["kind"].to_list():
        yield _CHECK_ALONE, ""
        return
    failures = {int(row["place"].removeprefix("item ")): row for row in frames.failures.iter_rows(named=True)}
    if frames.orders.height + frames.failures.height != len(bodies) or len(failures) != frames.failures.height:
        yield "orders in = orders out + failures", f"{len(bodies)}, {frames.orders.height}, {frames.failures.height}"
        return
    for at, row in failures.items():
        yield from _check_failure(row, private[at] if private else set(), bodies[at])
    if not set(frames.notes["kind"].to_list()) <= set(NOTES) or not all(frames.notes["message"].to_list()):
        yield "a note has a known kind and a message", str(frames.notes["kind"].to_list())
    yield from _compare_with_independent_flattener(bodies, frames, failures)
    if compiled_core() is not None:
        differences = list_differences(raw_orders(bodies))
        if differences:
            yield _SAME_OF_BOTH_CORES, "; ".join(differences)


def _compare_with_independent_flattener(
    bodies: Sequence[bytes], frames: Frames, failures: dict[int, dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    wanted: Cells = {}
    notes: Counter[tuple[str, str]] = Counter()
    texts: dict[int, str] = {}
    agreed = True
    for at, body in enumerate(bodies):
        row = failures.get(at)
        try:
            order = independent_flattener.read_order(body)
        except independent_flattener.UnholdableOrder as why:
            if row is None:
                agreed = False
                yield _MUST_FAIL, f"taken, but: {why}"
        except independent_flattener.TooDeep:
            if row is None:  # its rows cannot be told from those of other orders
                agreed = False
                yield _CHECK_ALONE, ""
        else:
            if row is None:
                wanted |= order.cells
                notes += order.notes
                texts[order.order_id] = order.text
            elif not order.doubtful:
                yield _MUST_NOT_FAIL, f"{row['rule']} at {row['path']}: {row['message']}"
    if not agreed:
        return
    yield from _compare_cells(wanted, frames, texts)
    found: Counter[tuple[str, str]] = Counter()
    for kind, path, count in frames.notes.select("kind", "path", "count").iter_rows():
        found[kind, path] += count
    if found != notes:
        yield "notes tell each decision", f"missing {dict(notes - found)}, too many {dict(found - notes)}"


def _compare_cells(wanted: Cells, frames: Frames, texts: dict[int, str]) -> Iterator[tuple[str, str]]:
    found = value_cells(frames)
    for row in wanted.keys() | found.keys():
        of_json, of_table = wanted.get(row), found.get(row)
        if of_json is None or of_table is None:
            yield "each row is an object of the JSON", f"{row} stands only in the {'JSON' if of_json else 'tables'}"
            return
        if of_json.keys() != of_table.keys():
            yield "each value stands in a cell", f"{row}: {sorted(of_json.keys() ^ of_table.keys())}"
            return
        for column, value in of_json.items():
            cell = of_table[column]
            if not _is_same_value(value, cell, texts[int(row[1].split("/")[0])]):
                yield "each cell holds its value exactly", f"{row} {column}: {value!r:.200} became {cell!r:.200}"
                return


def _is_same_value(value: Any, cell: Any, text: str) -> bool:
    if isinstance(value, FreeForm):
        if cell not in text and not _is_escaped_in(cell, text):
            return False
        return bool(parse_json(cell) == value.value and _types_of(parse_json(cell)) == _types_of(value.value))
    if isinstance(value, float):
        return isinstance(cell, float) and value == cell
    same_type = type(value) is type(cell) or isinstance(value, date)
    return same_type and bool(value == cell)


def _is_escaped_in(cell: str, text: str) -> bool:
    """Whether the cell is part of a string in the JSON: free-form attributes may be written as JSON text."""
    return any(isinstance(value, str) and cell in value for value in _all_values(parse_json(text)))


def _all_values(value: Any) -> Iterator[Any]:
    yield value
    for inner in value if isinstance(value, list) else ():
        yield from _all_values(inner[1] if isinstance(value, Pairs) else inner)


def _types_of(value: Any) -> Any:
    """The types in a document: a number and a text of the same characters differ."""
    if isinstance(value, Pairs):
        return [(key, _types_of(inner)) for key, inner in value]
    return [_types_of(inner) for inner in value] if isinstance(value, list) else type(value)


def value_cells(frames: Frames) -> Cells:
    """By table and key, the values that are not null, without the keys and places that flattening adds."""
    found: Cells = {}
    for table, frame in frames.items():
        own = independent_flattener.value_columns(table)
        strange = [name for name in frame.columns if name not in own and not _DERIVED_COLUMN.fullmatch(name)]
        assert not strange, f"{table} has columns that no documented field is for: {strange}"
        key = "order_id" if table == "orders" else frame.columns[0]
        names = [name for name in own if frame[name].null_count() < frame.height]
        for address, *values in frame.select(key, *(frame[name].alias(f"={name}") for name in names)).iter_rows():
            found[table, str(address)] = {
                name: value for name, value in zip(names, values, strict=True) if value is not None
            }
    return found


def _check_failure(row: dict[str, Any], private: set[str], body: bytes) -> Iterator[tuple[str, str]]:
    if row["rule"] not in RULES or len(row["message"]) < 40:
        yield "a failure has a known rule and a message", str(row)
    revealed = [word for word in private if word in row["message"]]
    if revealed:
        yield _NOTHING_PRIVATE, f"{revealed}: {row['message']}"
    if row["rule"] in _RULES_OF_VALUES and "twice" not in row["message"]:
        try:
            values = [parse_json(body.decode())]
        except (ValueError, RecursionError):
            return
        for name, place in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", row["path"]):
            values = [inner for value in values for inner in _values_at(value, name, place)]
        if not any(value is not None for value in values):
            yield "the path of a failure leads to a value", row["path"]


def _values_at(value: Any, name: str, place: str) -> list[Any]:
    """The values of a name in an object, which may repeat it, or the entry at an index of a list."""
    if name:
        return [inner for key, inner in value if key == name] if isinstance(value, Pairs) else []
    return value[int(place) :][:1] if isinstance(value, list) and not isinstance(value, Pairs) else []


def private_words(body: bytes) -> set[str]:
    """Names and e-mail addresses in the addresses of an order, unless they are common words."""
    order = dict(parse_json(body.decode()))
    addresses = [dict(order[name]) for name in ("deliveryAddress", "invoiceAddress") if order.get(name)]
    words = {address.get(name) for address in addresses for name in ("name1", "name2", "company", "email", "address1")}
    return {str(word) for word in words if word and len(word) > 4 and word != "<string>"}


def shrink_order(body: bytes, broken: Callable[[bytes], bool], tries: int = 1500) -> bytes:
    """A smaller order that still breaks in the same way."""
    left = tries

    def still(candidate: bytes) -> bool:
        nonlocal left
        left -= 1
        return left > 0 and broken(candidate)

    try:
        root: Any = parse_json(body.decode())
        body = _shrink_document(root, still) or body
    except (ValueError, RecursionError):
        pass
    size = max(1, len(body) // 2)
    while size and left > 0:
        at = 0
        while at < len(body):
            candidate = body[:at] + body[at + size :]
            if still(candidate):
                body = candidate
            else:
                at += size
        size //= 2
    return body


def _shrink_document(root: Any, still: Callable[[bytes], bool]) -> bytes | None:
    """The document without the branches that it does not need to stay broken, from the top down."""
    if not still(write_json(root).encode("utf-8", "surrogatepass")):
        return None
    level = [root]
    while level:
        for holder in level:
            for at in reversed(range(len(holder))):
                taken = holder.pop(at)
                if not still(write_json(root).encode("utf-8", "surrogatepass")):
                    holder.insert(at, taken)
        values = [entry[1] if isinstance(holder, Pairs) else entry for holder in level for entry in holder]
        level = [value for value in values if isinstance(value, list) and not isinstance(value, JsonText | Number)]
    return write_json(root).encode("utf-8", "surrogatepass")


def fuzz_orders(count: int, seed: int, first: int = 0, report: Callable[[str], object] = print) -> list[Find]:
    """The finds among `count` mutants from number `first` on; each is reported with the command that repeats it."""
    finds: list[Find] = []
    for start in range(first, first + count, ORDERS_PER_CALL):
        numbers = range(start, min(start + ORDERS_PER_CALL, first + count))
        bodies = [mutated_order(number, seed) for number in numbers]
        private = [private_words(unmutated_order(number, seed)) for number in numbers]
        for find in find_broken_promises(bodies, numbers, private):
            finds.append(find)
            alike = sum(other.promise == find.promise for other in finds)
            report(describe_find(find, seed, start, shrink=alike <= FINDS_SHRUNK))
    return finds


def describe_find(find: Find, seed: int, start: int, *, shrink: bool = True) -> str:
    """A find in words, with the smallest order that shows it and the command that repeats it."""
    if find.number is None:
        again = f"--first {start} --count {ORDERS_PER_CALL}"
        return f"{find.promise}\n  {find.seen}\n  again: python -m tests.support.fuzz --seed {seed} {again}"
    again = f"python -m tests.support.fuzz --seed {seed} --only {find.number}"
    if not shrink:
        return f"{find.promise}\n  {find.seen}\n  again: {again}"
    private = [private_words(unmutated_order(find.number, seed))]

    def broken(body: bytes) -> bool:
        return any(other.promise == find.promise for other in find_broken_promises([body], private=private))

    body = shrink_order(mutated_order(find.number, seed), broken)
    seen = next(
        (other.seen for other in find_broken_promises([body], private=private) if other.promise == find.promise),
        find.seen,
    )
    return f"{find.promise}\n  {seen}\n  smallest: {body[:600]!r}\n  again: {again}"


def main() -> None:
    """Fuzzes, and exits with 1 if a promise was broken."""
    parser = argparse.ArgumentParser("python -m tests.support.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--only", type=int, help="number of the only mutant to try")
    parser.add_argument("--show", action="store_true", help="print the only mutant instead")
    given = parser.parse_args()
    if given.show:
        sys.stdout.buffer.write(mutated_order(given.only, given.seed))
        return
    first, count = (given.first, given.count) if given.only is None else (given.only, 1)
    began = time.monotonic()
    finds: list[Find] = []
    for start in range(first, first + count, MUTANTS_PER_PROGRESS_LINE):
        stage = min(MUTANTS_PER_PROGRESS_LINE, first + count - start)
        finds += fuzz_orders(stage, given.seed, start, functools.partial(print, flush=True))
        if count > MUTANTS_PER_PROGRESS_LINE:
            print(f"{start + stage - first:,} mutants, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{count:,} mutants of seed {given.seed} in {time.monotonic() - began:.0f} s: {len(finds)} finds")
    for promise, number in Counter(find.promise for find in finds).most_common():
        print(f"{number:>6,}  {promise}")
    raise SystemExit(bool(finds))


if __name__ == "__main__":
    main()
