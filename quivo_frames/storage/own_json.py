"""The one way in which a JSON file that quivo_frames wrote is read: what does not fit is damage, with a way out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

from quivo_frames.errors import DatasetError, QuivoError

T = TypeVar("T")

DIGEST = "digest"
"""The key under which a file has a digest of all else that it says, by which `check` finds any change."""

_JSON_PATH = re.compile(r" - at `(?:key in )?(\$[^`]*)`$")


def decode_own_json(
    data: bytes, kind: type[T], file: str, remedy: str, error_class: type[QuivoError] = DatasetError
) -> T:
    """The content of a JSON file of ours as `kind`, mostly a Struct; fields that it does not have are ignored.

    `file` is what the message calls the file, `remedy` what it says to do, as sentences. The message names the place of
    the damage in the file, and quotes nothing of it.

    Raises:
        DatasetError: the file does not fit; with `error_class`, that error.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        found = _JSON_PATH.search(str(error))
        where = f" (at {found[1]})" if found and found[1].isprintable() else ""
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        where = " (it is not JSON)"
    raise error_class(f"{file} is damaged{where}. {remedy}")


def digest_of_facts(facts: Mapping[str, Any], besides: Collection[str] = ()) -> str:
    """The digest of all facts but the digest itself, and those named in `besides`."""
    digested = {name: fact for name, fact in facts.items() if name != DIGEST and name not in besides}
    return hashlib.sha256(json.dumps(digested, sort_keys=True).encode()).hexdigest()
