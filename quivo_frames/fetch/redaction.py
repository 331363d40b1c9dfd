"""Remove secrets from what a server sent, in case it repeats them."""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE_LENGTH = 6
"""This many letters of a secret in a row give too much of it away."""
MASK = b"***"


@lru_cache(maxsize=8)
def make_redactor(secrets: tuple[str, ...]) -> Callable[[bytes], bytes]:
    """A function that replaces each secret, and each piece of one, in some bytes by ***.

    Secrets are found in plain text, URL encoding, JSON, and Base64 (RFC 4648), whatever stands before them.
    """
    forms = {form for secret in secrets if secret for form in _encoded_forms(secret)}
    short = sorted((form for form in forms if len(form) < PIECE_LENGTH), key=len, reverse=True)
    pieces = frozenset(form[at : at + PIECE_LENGTH] for form in forms for at in range(len(form) - PIECE_LENGTH + 1))

    def redact_bytes(text: bytes) -> bytes:
        # looks up every position in a set: as a pattern, a token of a thousand letters would be a thousand alternatives
        kept, end = [], 0
        for at in range(len(text) - PIECE_LENGTH + 1):
            if text[at : at + PIECE_LENGTH] in pieces:
                if at > end or not at:
                    kept += [text[end:at], MASK]
                end = at + PIECE_LENGTH
        redacted = b"".join([*kept, text[end:]])
        for secret in short:
            redacted = redacted.replace(secret, MASK)
        return redacted

    return redact_bytes


def _encoded_forms(secret: str) -> Iterator[bytes]:
    plain = secret.encode()
    yield plain
    yield from (form.encode() for form in (quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]))
    for before in range(3):  # bytes before the secret shift its Base64, and mix with its ends
        mixed_first, mixed_last = (before * 8 + 5) // 6, (before + len(plain)) * 8 // 6
        yield base64.b64encode(b"\0" * before + plain)[mixed_first:mixed_last]
        yield base64.urlsafe_b64encode(b"\0" * before + plain)[mixed_first:mixed_last]
