"""Text for people: safe on a terminal, with nouns that agree with their numbers."""

from __future__ import annotations


def terminal_text(value: object) -> str:
    """A value as one line of text, its control characters and other unprintable ones escaped."""
    text = str(value)
    return text if text.isprintable() else "".join(map(_escape_character, text))


def _escape_character(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def format_count(count: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun: "1 order", "1,024 orders"; the plural adds an s unless it is given."""
    return f"{count:,} {noun_for(count, singular, plural)}"


def noun_for(count: int, singular: str, plural: str | None = None) -> str:
    """The noun alone, in the form that goes with the number."""
    return singular if count == 1 else plural or f"{singular}s"


def type_with_article(value: object) -> str:
    """The type of a value as a message names it: a dict, an int, None."""
    name = type(value).__name__
    return "None" if value is None else f"an {name}" if name[0] in "aeiou" else f"a {name}"
