"""The file of accepted findings as it is now, and what is found, with those of the file marked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from quivo_frames.analysis.checks.accepted import AcceptedFinding, accept_findings, read_accepted
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.errors import ConfigError

_FileState = tuple[int, int, int] | None


class AcceptedFindings:
    """What a TOML file accepts; read again when the file has changed."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.problem = ""
        """Why the file cannot be read, in a sentence; empty if it can, or is not there yet."""
        self._lock = threading.Lock()
        self._state: _FileState = None
        self._known: Mapping[str, AcceptedFinding] = {}

    def read(self) -> Mapping[str, AcceptedFinding]:
        """The accepted findings by name: the same object as long as the file is the same."""
        with self._lock:
            state = self._look_at_file()
            if state != self._state:
                self._state, self.problem = state, ""
                try:
                    self._known = read_accepted(self.file, CHECKS) if self.file is not None and state else {}
                except ConfigError as error:
                    self._known, self.problem = {}, str(error)
            return self._known

    def _look_at_file(self) -> _FileState:
        try:
            found = self.file.stat() if self.file is not None else None
        except OSError:
            return None
        return found and (found.st_ino, found.st_mtime_ns, found.st_size)

    def accept(self, finding: str, until: date, because: str) -> None:
        """Add a finding to the file.

        Raises:
            ConfigError: it is no finding, or something else is in the file.
            ExportError: the file cannot be written.
        """
        assert self.file is not None
        with self._lock:  # the file is read and written again as a whole
            accept_findings([finding], until, because, self.file, CHECKS)
