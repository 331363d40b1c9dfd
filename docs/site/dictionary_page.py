"""The dictionary with a place to link to for each column."""

from __future__ import annotations

import re

from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import TABLES

_HEADING = re.compile(r"## (\w+)")
_ROW = re.compile(r"\| (\w+) \|")
_HEAD = "| column | type |"
_INFERRED = re.compile(r"presumably|not documented|no documented")


def add_anchors(text: str) -> str:
    """The page with an anchor `table.column` in each row of a column."""
    table = ""
    lines: list[str] = []
    for line in text.splitlines():
        if heading := _HEADING.fullmatch(line):
            table = heading[1]
        elif line.startswith("# ") and lines:
            line = f"#{line}"  # a page has one title
        elif table and not line.startswith(_HEAD) and (row := _ROW.match(line)):
            line = f'| <span id="{table}.{row[1]}">{row[1]}</span> |{line[row.end() :]}'
        lines.append(line)
    return "\n".join([*lines, ""])


def list_inferred_columns() -> str:
    """The columns of which the dictionary says that their meaning is inferred, as a table in Markdown."""
    lines = ["| column | what the dictionary says |", "|---|---|"]
    for name, table in (TABLES | DERIVED_TABLES).items():
        address = f"../../../../schemas/dictionary.md#{name}"
        inferred = (column for column in table.columns if _INFERRED.search(column.sentence))
        lines += [f"| [{name}]({address}).{column.name} | {column.sentence} |" for column in inferred]
    return "\n".join(lines)
