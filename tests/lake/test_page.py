"""What docs/ducklake.md shows runs, from top to bottom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import quivo_frames as qf
from quivo_frames.export.lake_connection import _packaged_file
from quivo_frames.standin.orders import write_ndjson
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "ducklake.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_ndjson(tmp_path / "orders.ndjson", 30)
    qf.build("orders.ndjson", "tables", progress=False)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    (command,) = code_blocks("bash")
    done = subprocess.run(["bash", "-c", command], env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for block in code_blocks("sql"):
        with duckdb.connect() as db:
            db.execute(f"LOAD '{_packaged_file('ducklake')}'")
            for statement in block.replace("INSTALL ducklake;", "").split(";"):
                if statement.strip():
                    shown = str(db.sql(statement))
                    assert "0 rows" not in shown or "CALL" in statement, statement
