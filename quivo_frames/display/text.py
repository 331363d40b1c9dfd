"""Text from outside as a terminal may show it."""

from __future__ import annotations


def terminal_text(value: object) -> str:
    """A value as a text of one line that no terminal obeys."""
    text = str(value)
    return text if text.isprintable() else "".join(map(_escape_character, text))


def _escape_character(sign: str) -> str:
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode()
