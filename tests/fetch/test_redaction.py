from __future__ import annotations

import base64
import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quivo_frames.fetch.redaction import PIECE_LENGTH, make_redactor

WORD = 'k7Qf+9/c"ü x\\Tz'


@pytest.mark.parametrize(
    "said",
    [WORD, quote_plus(WORD), json.dumps(WORD), json.dumps({"a": WORD}, ensure_ascii=False),
     *(base64.b64encode(f"{before}{WORD}:more".encode()).decode() for before in ("", "a", "ab", "abc"))],
)  # fmt: skip
def test_a_secret_is_found_however_it_travels(said: str) -> None:
    redacted = make_redactor((WORD, ""))(f"before {said} behind".encode())
    assert redacted.startswith(b"before ")
    assert redacted.endswith(b" behind")
    assert redacted.count(b"***") == 1
    middle = range(4, len(said) - 16)  # at its ends, Base64 mixes it with what stands beside it
    assert not any(said[at : at + PIECE_LENGTH].encode() in redacted for at in middle)


@given(before=st.text(), secret=st.text(min_size=PIECE_LENGTH), behind=st.text(), data=st.data())
def test_no_piece_of_a_secret_is_left_and_all_else_is(
    before: str, secret: str, behind: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(secret) - PIECE_LENGTH))
    piece = secret[start:]
    redacted = make_redactor((secret,))(f"{before}{piece}{behind}".encode())
    plain = secret.encode()
    for at in range(len(plain) - PIECE_LENGTH + 1):
        if b"*" not in plain[at : at + PIECE_LENGTH]:
            assert plain[at : at + PIECE_LENGTH] not in redacted


def test_what_holds_no_secret_stays_as_it_is() -> None:
    said = b"\xff\x00 Incorrect username or password. " * 9
    assert make_redactor(("key-of-mine", "me", "word-of-mine"))(said) == said
    assert make_redactor(("",))(said) == said
    assert make_redactor(("secret-one",))(b"secret") == b"***"
    assert make_redactor(("secret-one",))(b"secre") == b"secre"
