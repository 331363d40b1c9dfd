"""A session with `quivo-frames mcp`, by the official client library: a process of its own, over its stdin and stdout."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.from_thread import BlockingPortal
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters
    from mcp.types import CallToolResult, Tool


class Session:
    """What tests ask a server."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal, self.client = portal, client

    def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        return self._portal.call(self.client.call_tool, tool, arguments)

    def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a tool answers: the same as structured content, which fits its schema, and as a text."""
        result = self.call(tool, arguments)
        (content,) = result.content
        assert not result.is_error, content.text
        assert json.loads(content.text) == result.structured_content
        found: dict[str, Any] = result.structured_content
        return found

    def refused(self, tool: str, **arguments: Any) -> str:
        """Why a tool does not answer, in a sentence."""
        result = self.call(tool, arguments)
        (content,) = result.content
        assert result.is_error, content.text[:200]
        assert result.structured_content is None
        assert "Traceback" not in content.text
        assert content.text.endswith((".", "^")) or "DuckDB does not understand" in content.text
        return str(content.text)

    def query(self, sql: str, limit: int = 2000) -> list[list[Any]]:
        return list(self.ask("run_sql", query=sql, limit=limit)["rows"])

    def tools(self) -> list[Tool]:
        return list(self._portal.call(self.client.list_tools).tools)


def server_of(tables: Path, *options: str, temporary: Path | None = None) -> StdioServerParameters:
    """How a client starts the server: as the page of the documentation says."""
    from mcp.client.stdio import StdioServerParameters

    page = (ROOT / "docs" / "assistants.md").read_text(encoding="utf-8")
    (settings,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (server,) = json.loads(settings)["mcpServers"].values()
    words = [str(tables) if word == "/path/to/tables" else word for word in server["args"]]
    assert str(tables) in words
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, **({"TMPDIR": str(temporary)} if temporary else {})}
    command = server["command"] if os.name != "nt" else str(Path(sys.executable).with_name("quivo-frames.exe"))
    return StdioServerParameters(command=command, args=[*words, *options], env=environment)


@contextmanager
def open_session(
    tables: Path, *options: str, temporary: Path | None = None, stderr: IO[str] | None = None
) -> Iterator[Session]:
    """A session with a server of its own."""
    from mcp import Client  # takes seconds
    from mcp.client.stdio import stdio_client

    transport = stdio_client(server_of(tables, *options, temporary=temporary), stderr or sys.__stderr__)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(transport, read_timeout_seconds=90)) as client,
    ):
        yield Session(portal, client)
