"""Findings that are accepted for a time: a TOML file that people read, and commit beside what they configure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import msgspec
import tomli_w

from quivo_frames.errors import ConfigError
from quivo_frames.settings.toml_file import read_toml_file
from quivo_frames.storage.atomic import OutputKind, refuse_output_file, write_file_atomically
from quivo_frames.storage.path_names import check_path

_HEAD = "# Accepted findings of quivo-frames audit: they do not count as errors until their last day is over.\n\n"
_EXAMPLE = 'Write it as `quivo-frames accept` does: [[accepted]], finding = "…", until = 2026-12-31, because = "…".'


class AcceptedFinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finding that is known and accepted: until when (the last day, UTC), and why."""

    finding: str
    until: date
    because: str


class _AcceptedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accepted: list[AcceptedFinding] = []


def check_finding_names(findings: Iterable[str], checks: Iterable[str]) -> None:
    """Find out whether texts can be findings: a check, a colon, and the key of a row.

    Raises:
        ConfigError: one is not.
    """
    known = set(checks)
    for finding in findings:
        check, _, key = finding.partition(":")
        if check not in known or not key:
            raise ConfigError(
                f"{finding} is no finding. Write a check and the key of a row, such as short_shipped:100017/0: the "
                "column `finding` of the findings has them."
            )


def read_accepted(file: str | os.PathLike[str], checks: Iterable[str]) -> dict[str, AcceptedFinding]:
    """The accepted findings of a file, by name.

    Raises:
        ConfigError: the file does not exist or does not fit, or a finding is of no check.
    """
    found = read_toml_file(check_path(file), _AcceptedFile, _EXAMPLE).accepted
    try:
        check_finding_names([one.finding for one in found], checks)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    return {one.finding: one for one in found}


def accept_findings(
    findings: Iterable[str], until: date, because: str, file: str | os.PathLike[str], checks: Iterable[str]
) -> int:
    """Adds findings to a file of accepted ones, or renews them there; returns how many the file has then.

    Raises:
        ConfigError: a text is no finding, there is no reason, or something else is in the file.
        ExportError: the file cannot be written.
    """
    path, names = check_path(file), list(findings)
    known = list(checks)
    check_finding_names(names, known)
    if not because.strip():
        raise ConfigError("Give a reason, as in --because 'the customer asked for it'.")
    refuse_output_file(path, _ACCEPTED_FILE)
    accepted: Mapping[str, AcceptedFinding] = read_accepted(path, known) if path.exists() else {}
    merged = {**accepted, **{name: AcceptedFinding(name, until, because.strip()) for name in names}}
    rows = [msgspec.structs.asdict(merged[name]) for name in sorted(merged)]
    try:
        content = (_HEAD + tomli_w.dumps({"accepted": rows})).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            "The reason or a finding is not UTF-8 text. Write it again, in a terminal with UTF-8."
        ) from error
    write_file_atomically(path, content, _ACCEPTED_FILE)
    return len(rows)


def _holds_accepted(file: Path) -> bool:
    try:
        read_toml_file(file, _AcceptedFile, "")
    except ConfigError:
        return False
    return True


_ACCEPTED_FILE = OutputKind("file of accepted findings", _holds_accepted, (".toml",))
