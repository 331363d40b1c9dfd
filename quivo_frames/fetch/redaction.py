"""Mask secrets and personal values in what a server sent, in case it repeats them."""

from __future__ import annotations

import base64
import html
import json
import re
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple, get_type_hints

import msgspec

from quivo_frames.model import order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PIECE_LENGTH = 6
"""This many letters of a secret in a row give too much of it away."""
SHORTEST_FOUND_IN_WORDS = 4
"""Secrets of fewer letters are masked as whole words only: they stand in many others."""
SHORTEST_KNOWN_TEXT = 3
MASK = b"***"
_SHORT_TEXT, _LEVELS_IN_SHORT_TEXTS, _LEVELS_IN_LONG_TEXTS = 8 * 2**10, 3, 2
"""How often escapes are undone in texts of up to so many bytes, and in longer ones: each level takes its time."""
_WORD = rb"[0-9A-Za-z_\x80-\xff]"

Span = tuple[int, int]


class _View(NamedTuple):
    """A text as it reads without escapes; `starts` and `ends` say where each of its bytes stands in the text."""

    text: bytes
    starts: Sequence[int]
    ends: Sequence[int]


def _decode_json_escape(escape: bytes) -> bytes:
    return json.loads(b'"%s"' % escape).encode("utf-8", "surrogatepass")  # type: ignore[no-any-return]


def _decode_html_escape(escape: bytes) -> bytes:
    return html.unescape(escape.decode()).encode("utf-8", "surrogatepass")


def _decode_url_escape(escape: bytes) -> bytes:
    return b" " if escape == b"+" else bytes([int(escape[1:], 16)])


_ESCAPES: tuple[tuple[re.Pattern[bytes], Callable[[bytes], bytes]], ...] = (
    (re.compile(rb"%[0-9A-Fa-f]{2}|\+"), _decode_url_escape),
    (re.compile(rb"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});"), _decode_html_escape),
    (
        re.compile(rb'\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\["\\/bfnrt]'),
        _decode_json_escape,
    ),
)
"""Escapes of URLs, HTML and JSON: what they look like, and what they stand for."""


def mask_spans(text: bytes, find_spans: Callable[[bytes], Iterable[Span]]) -> bytes:
    """The text with *** for each span that is found in it, also where it is escaped for URLs, HTML or JSON."""
    spans = sorted(
        (view.starts[start], view.ends[end - 1])
        for view in _views_of(text)
        for start, end in find_spans(view.text)
        if start < end
    )
    kept: list[bytes] = []
    done = 0
    for start, end in spans:
        if start > done or not kept:
            kept += [text[done:start], MASK]
        done = max(done, end)
    return b"".join([*kept, text[done:]])


def _views_of(text: bytes) -> Iterator[_View]:
    """The text itself, and as it reads when escapes of one kind are undone, and when they are in what comes out."""
    level = [_View(text, range(len(text)), range(1, len(text) + 1))]
    seen = {text}
    for _ in range(_LEVELS_IN_SHORT_TEXTS if len(text) <= _SHORT_TEXT else _LEVELS_IN_LONG_TEXTS):
        yield from level
        unescaped = (_unescape(view, *escapes) for view in level for escapes in _ESCAPES)
        level = [view for view in unescaped if view.text not in seen and not seen.add(view.text)]  # type: ignore[func-returns-value]
    yield from level


def _unescape(view: _View, pattern: re.Pattern[bytes], decode: Callable[[bytes], bytes]) -> _View:
    parts, starts, ends, done = [], list[int](), list[int](), 0
    for found in pattern.finditer(view.text):
        start, end = found.span()
        decoded = decode(found[0])
        parts += [view.text[done:start], decoded]
        starts += [*view.starts[done:start], *[view.starts[start]] * len(decoded)]
        ends += [*view.ends[done:start], *[view.ends[end - 1]] * len(decoded)]
        done = end
    if not done:
        return view
    return _View(b"".join([*parts, view.text[done:]]), [*starts, *view.starts[done:]], [*ends, *view.ends[done:]])


@lru_cache(maxsize=8)
def make_redactor(secrets: tuple[str, ...]) -> Callable[[bytes], bytes]:
    """A function that replaces each secret, and each piece of one, in some bytes by ***.

    Secrets are found in plain text, in Base64 (RFC 4648, whatever stands before them), and escaped for URLs, HTML and
    JSON. Those of fewer than four letters are found as whole words only.
    """
    forms = {form for secret in secrets if secret for form in _forms_of(secret)}
    pieces = frozenset(form[at : at + PIECE_LENGTH] for form in forms for at in range(len(form) - PIECE_LENGTH + 1))
    short = [
        re.escape(form)
        if len(form) >= SHORTEST_FOUND_IN_WORDS
        else b"(?<!%b)%b(?!%b)" % (_WORD, re.escape(form), _WORD)
        for form in sorted(forms, key=len, reverse=True)
        if len(form) < PIECE_LENGTH
    ]
    short_pattern = re.compile(b"|".join(short)) if short else None

    def find_secrets(text: bytes) -> Iterator[Span]:
        # looks up every position in a set: as a pattern, a token of a thousand letters would be a thousand alternatives
        for at in range(len(text) - PIECE_LENGTH + 1):
            if text[at : at + PIECE_LENGTH] in pieces:
                yield at, at + PIECE_LENGTH
        if short_pattern:
            yield from (found.span() for found in short_pattern.finditer(text))

    return partial(mask_spans, find_spans=find_secrets)


def _forms_of(secret: str) -> Iterator[bytes]:
    plain = secret.encode()
    yield plain
    if len(plain) < SHORTEST_FOUND_IN_WORDS:
        return
    for before in range(3):  # bytes before the secret shift its Base64, and mix with its ends
        mixed_first, mixed_last = (before * 8 + 5) // 6, (before + len(plain)) * 8 // 6
        yield base64.b64encode(b"\0" * before + plain)[mixed_first:mixed_last]
        yield base64.urlsafe_b64encode(b"\0" * before + plain)[mixed_first:mixed_last]


_NO_ADDRESS = rb"[^\s@\"'`<>()\[\]{},;:=&]"
_EMAIL = re.compile(rb"%b{1,64}@%b{1,255}" % (_NO_ADDRESS, _NO_ADDRESS))
_PHONE = re.compile(
    rb"(?<![\w.,\-/])(?!\d\d[./-]\d\d[./-]\d{4}(?!\d))"  # no date
    rb"(?:(?:\+|\(?00?)[ ]?\d(?:[ ()/.\-]{0,2}\d){5,14}|\(?\d{3}\)?[ .\-]\d{3}[ .\-]\d{4})(?![\w\-])"
)
_QUOTED = re.compile(
    rb"(?<!\w)(?:\"([^\"]+)(?:\"|\Z)|'([^']+)'|`([^`]+)`|\xe2\x80[\x9c-\x9e](.{1,500}?)\xe2\x80[\x9c-\x9d]|\xc2\xab(.{1,500}?)\xc2\xbb)(?!\w)"
)


@cache
def _field_names() -> tuple[frozenset[str], frozenset[str]]:
    """The JSON names of all fields of an order, and of those with personal values."""
    known, personal, records = set(), set(), [order.Record]
    for record in records:
        records += [found for found in record.__subclasses__() if found not in records]
        for name, hint in get_type_hints(record, include_extras=True).items():
            (json_name,) = (field.encode_name for field in msgspec.structs.fields(record) if field.name == name)
            known.add(json_name)
            about = [extra for extra in getattr(hint, "__metadata__", ()) if hasattr(extra, "privacy")]
            if about and about[0].privacy is not order.Privacy.NONE:
                personal.add(json_name)
    return frozenset(known), frozenset(personal)


@cache
def _personal_assignment() -> re.Pattern[bytes]:
    names = "|".join(map(re.escape, sorted(_field_names()[1], key=len, reverse=True))).encode()
    return re.compile(rb"(?<!\w)(?:%b)[ ]?=[ ]?([^,;)\]}\r\n]+)" % names)


def mask_personal_text(text: str) -> str:
    """The text of an error with *** for what may be personal.

    That is: e-mail addresses, phone numbers, values in quotes (but for names of fields, and short numbers), and what
    stands behind the name of a personal field and an equals sign. Names elsewhere cannot be known.
    """
    return mask_spans(text.encode("utf-8", "replace"), _find_personal).decode(errors="replace")


def mask_texts(text: str, known: Iterable[str]) -> str:
    """The text with *** for each of some texts that stands in it as whole words; those of one or two letters stay."""
    longest_first = sorted({one.strip() for one in known}, key=len, reverse=True)
    words = [re.escape(one.encode("utf-8", "replace")) for one in longest_first if len(one) >= SHORTEST_KNOWN_TEXT]
    if not words:
        return text
    pattern = re.compile(b"(?i:(?<!%b)(?:%b)(?!%b))" % (_WORD, b"|".join(words), _WORD))
    found = mask_spans(text.encode("utf-8", "replace"), lambda view: (one.span() for one in pattern.finditer(view)))
    return found.decode(errors="replace")


def _find_personal(text: bytes) -> Iterator[Span]:
    for pattern in (_EMAIL, _PHONE):
        yield from (found.span() for found in pattern.finditer(text))
    yield from (found.span(1) for found in _personal_assignment().finditer(text))
    for found in _QUOTED.finditer(text):
        group = found.lastindex
        if group and not _may_be_shown(found[group]):
            yield found.span(group)


def _may_be_shown(quoted: bytes) -> bool:
    names = re.sub(r"\[\d*\]", "", quoted.decode(errors="replace")).removeprefix("$.").split(".")
    return set(names) <= _field_names()[0] or re.fullmatch(rb"\d{1,6}", quoted) is not None
