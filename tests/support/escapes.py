"""Texts as they are escaped for HTML, JSON and URLs, once or twice, and how escaped texts read: by the standard library."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote, unquote_plus


def in_every_letter(pattern: str) -> Callable[[str], str]:
    return lambda text: "".join(pattern % ord(letter) for letter in text)


ESCAPES: dict[str, Callable[[str], str]] = {
    "none": str,
    "html": html.escape,
    "html, decimal": in_every_letter("&#%d;"),
    "html, hexadecimal": in_every_letter("&#x%X;"),
    "html of html": lambda text: html.escape(html.escape(text)),
    "json": lambda text: json.dumps(text)[1:-1],
    "json, all": lambda text: re.sub("(....)", r"\\u\1", text.encode("utf-16-be").hex()),
    "json with slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json in json": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "json in html": lambda text: html.escape(json.dumps(text)[1:-1]),
    "url": lambda text: quote(text, safe=""),
    "url, small letters": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "url, plus": quote_plus,
    "url in html": lambda text: html.escape(quote(text, safe="&")),
    "url in url": lambda text: quote(quote(text, safe=""), safe=""),
    "html in json": lambda text: json.dumps(html.escape(text))[1:-1],
}


def read_json_escapes(text: str) -> str:
    """A text with the escapes of JSON undone, whatever stands between them."""
    return re.sub(r'(\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]', lambda found: json.loads(f'"{found[0]}"'), text)


def readings(text: str, levels: int = 3) -> set[str]:
    """A text as it reads unescaped, as often as that changes it."""
    found = {text}
    for _ in range(levels):
        found |= {read(known) for known in found for read in (html.unescape, unquote, unquote_plus, read_json_escapes)}
    return found
