from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quivo_frames.fetch.redaction import PIECE_LENGTH, make_redactor, mask_personal_text, mask_texts
from tests.support.escapes import ESCAPES, readings

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


SECRETS = [WORD, "a<b&\"c'/d", "ä€ß", "p%41&#65;\\u0041", "\U0001f511key", "<&>&<&", "+ +&+ +", "four"]


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_however_it_is_escaped(secret: str, escape: str) -> None:
    said = f"Before: ü {ESCAPES[escape](secret)} - behind."
    assert make_redactor((secret,))(said.encode()).decode() == "Before: ü *** - behind."


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=12),
    name=st.sampled_from(sorted(ESCAPES)),
)
def test_no_reading_of_what_is_left_holds_the_secret(secret: str, name: str) -> None:
    if "*" in secret:
        return
    redacted = make_redactor((secret,))(f"before {ESCAPES[name](secret)} behind".encode()).decode(errors="replace")
    assert all(secret not in text for text in readings(redacted))


def test_short_secrets_are_found_as_whole_words_alone() -> None:
    redact = make_redactor(("me", "x", "a1!"))
    assert redact(b"some message: x of me (me) is no name, me2, me_, \xc3\xa4me; a1! ba1!") == (
        b"some message: *** of *** (***) is no name, me2, me_, \xc3\xa4me; *** ba1!"
    )
    assert redact(b"&quot;me&quot; \\u006de %6De") == b"&quot;***&quot; *** ***"
    assert make_redactor(("name",))(b"name1 and rename") == b"***1 and re***"  # four letters are found in words


PERSONAL = ["anna.muster+shop@example.com", "+43 (0)664 123-45-67", "0664/1234567", "(555) 123-4567", "\"Anna Müster\"", "'Hauptstraße 1'", "“Anna”", "`Anna`"]  # fmt: skip
SHOWN = [
    "positions: must not be null", "deliveryAddress.email: must be a well-formed email address",
    "Unrecognized field \"positions[0].sku\" in order 100001", "can't read it, don't ask", "at 2026-11-29T10:00:00Z",
    "on 05.03.2026, 10:30", "1,000,000 of 2 000 000", "192.168.100.200", "6f1c2c1e-5de2-1234-4562-435600001111", "'12345'",
    "name1 must not be empty", "rate = 10, burst=20",
]  # fmt: skip


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("said", PERSONAL)
def test_personal_text_is_masked_however_it_is_escaped(said: str, escape: str) -> None:
    shown = mask_personal_text(f"Is wrong: {ESCAPES[escape](said)} there")
    assert "***" in shown
    assert shown.startswith("Is wrong: ")
    assert shown.endswith(" there")
    left = " ".join(readings(shown))
    assert not any(piece in left for piece in ("anna", "Anna", "ster", "664", "4567", "Haupt", "example"))


def test_values_of_personal_fields_are_masked() -> None:
    said = "Address[name1=Anna Muster, zip=1010, phone=12345, address1 = Road 7; city=Wien]"
    assert mask_personal_text(said) == "Address[name1=***, zip=1010, phone=***, address1 = ***; city=Wien]"


@pytest.mark.parametrize("escape", ESCAPES)
def test_known_texts_are_masked_as_whole_words_in_any_case(escape: str) -> None:
    known = ["Ida Lünd", "Ida", "no", "Ole"]
    said = f"no: {ESCAPES[escape]('IDA Lünd')}, Idaho, Olem (ole)"
    assert mask_texts(said, known) == "no: ***, Idaho, Olem (***)"
    assert mask_texts("no Ida", ["", "no"]) == "no Ida"


@pytest.mark.parametrize("said", SHOWN)
def test_what_is_not_personal_is_shown(said: str) -> None:
    assert mask_personal_text(said) == said


@pytest.mark.alone
@pytest.mark.parametrize(
    "said", [b"a", b"x@", b'"', b"'a ", b"\xe2\x80\x9c", b"+4", b"name1=", b"&#65;", b"\\u0041%41", b"\\"]
)
def test_no_text_takes_long(said: bytes) -> None:
    text = (said * 2**16)[: 2**16]
    began = time.perf_counter()
    make_redactor(("key-of-mine", "t" * 900))(text)
    mask_personal_text(text.decode(errors="replace"))
    assert time.perf_counter() - began < 2
