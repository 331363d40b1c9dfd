"""Verb: what a server said -> the same without secrets, should it repeat them. Floor 0."""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE = 6
"""So many letters of a secret in a row give too much of it away."""
MASK = b"***"


@lru_cache(maxsize=8)
def redactor(secrets: tuple[str, ...]) -> Callable[[bytes], bytes]:
    """A function that puts *** in the place of each secret, and of each piece of one, in some bytes.

    Secrets are found as they are, as in a URL, as in JSON, and as in Base64 (RFC 4648), whatever stands before them.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    short = sorted((form for form in forms if len(form) < PIECE), key=len, reverse=True)
    pieces = frozenset(form[at : at + PIECE] for form in forms for at in range(len(form) - PIECE + 1))

    def redact(said: bytes) -> bytes:
        # a look at each place, not a pattern: a token has a thousand letters, and as many pieces
        kept, end = [], 0
        for at in range(len(said) - PIECE + 1):
            if said[at : at + PIECE] in pieces:
                if at > end or not at:
                    kept += [said[end:at], MASK]
                end = at + PIECE
        redacted = b"".join([*kept, said[end:]])
        for secret in short:
            redacted = redacted.replace(secret, MASK)
        return redacted

    return redact


def _forms(secret: str) -> Iterator[bytes]:
    plain = secret.encode()
    yield plain
    yield from (form.encode() for form in (quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]))
    for before in range(3):  # bytes before it move it against the groups of Base64; the letters at its ends are mixed
        mixed_first, mixed_last = (before * 8 + 5) // 6, (before + len(plain)) * 8 // 6
        yield base64.b64encode(b"\0" * before + plain)[mixed_first:mixed_last]
        yield base64.urlsafe_b64encode(b"\0" * before + plain)[mixed_first:mixed_last]
