"""Text from outside is safe on a terminal, and nouns agree with their numbers."""

from __future__ import annotations

import pytest

from quivo_frames.display.text import format_count, noun_for, terminal_text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Łódź 7", "Łódź 7"),
        (12, "12"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),  # a right-to-left override
    ],
)
def test_text_for_a_terminal_is_one_line_that_controls_nothing(value: object, shown: str) -> None:
    assert terminal_text(value) == shown


def test_a_noun_agrees_with_its_number() -> None:
    assert [format_count(count, "order") for count in (0, 1, 2, 1024)] == [
        "0 orders",
        "1 order",
        "2 orders",
        "1,024 orders",
    ]
    assert format_count(2, "entry", "entries") == "2 entries"
    assert (noun_for(1, "info", "info"), noun_for(3, "info", "info")) == ("info", "info")
