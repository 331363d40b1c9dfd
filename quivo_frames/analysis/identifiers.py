"""The form in which identifiers are compared: SKUs, lots, serial numbers, tracking numbers, SSCCs."""

from __future__ import annotations

import polars as pl

_INVISIBLE_CHARACTERS = r"\p{Cf}\p{Cc}\u{034F}\u{115F}\u{1160}\u{17B4}\u{17B5}\u{180B}-\u{180D}\u{FE00}-\u{FE0F}"
_INVISIBLE = f"[{_INVISIBLE_CHARACTERS}]"
"""Characters that nobody sees: zero-width ones, soft hyphens, marks of direction, variation selectors, controls."""
_NO_VALUE = r"(?i)^(?:[\s\p{Pd}_.?/*#0]*|n[./]?a\.?|none|null|nil|unknown|undefined|not\s?applicable|k\.?\s?a\.?)$"
"""Words and marks for "there is none"."""


def is_visible(text: pl.Expr) -> pl.Expr:
    """Whether a text has a character that is seen: neither white space nor an invisible one."""
    return text.str.contains(rf"[^\s{_INVISIBLE_CHARACTERS}]")


def comparison_form(identifier: pl.Expr) -> pl.Expr:
    """An identifier as it is compared: in NFC, upper case, without invisible characters and outer white space."""
    return identifier.str.normalize("NFC").str.replace_all(_INVISIBLE, "").str.strip_chars().str.to_uppercase()


def stated_value(identifier: pl.Expr) -> pl.Expr:
    """The identifier; null where it says that there is none: N/A, -, 0, zeros, blanks and the like."""
    return pl.when(~identifier.str.replace_all(_INVISIBLE, "").str.contains(_NO_VALUE)).then(identifier)


def sscc_digits(sscc: pl.Expr) -> pl.Expr:
    """An SSCC as it is compared: letters and digits alone, without its application identifier, (00) or 00.

    Null where it says that there is none.
    """
    plain = sscc.str.replace_all(r"[^\p{L}\p{N}]", "").str.to_uppercase()
    digits = plain.str.replace(r"^00([0-9]{18})$", "$1")
    return pl.when(~digits.str.contains(_NO_VALUE)).then(digits)
