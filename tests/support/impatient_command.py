"""The command line with an impatient client, as a script: its options as JSON, then the words of the command.

Tests run it in a process of its own: nobody waits a minute for an answer that never comes.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any


def impatient_command(*words: str, **options: Any) -> list[str]:
    """The command to run: `words` for quivo-frames, with a client of these options.

    Options are those of `Client`; `longest_pause` (seconds) caps the pauses that the server asks for, `max_file_bytes`
    is the size at which the disk is full, `debug` writes all logs to stderr.
    """
    return [sys.executable, __file__, json.dumps(options), *words]


def run_command() -> None:
    """Run the command line with the options of the first argument."""
    options = json.loads(sys.argv.pop(1))
    if options.pop("debug", False):
        logging.basicConfig(level=logging.DEBUG)
    from quivo_frames.cli import main
    from quivo_frames.fetch.client import Client

    longest_pause, max_file_bytes = options.pop("longest_pause", None), options.pop("max_file_bytes", None)
    from_env = Client.from_env

    def make_client(**given: Any) -> Client:
        client = from_env(**options | given)
        if longest_pause is not None:
            client._rate_limiter.longest_pause = longest_pause
        return client

    Client.from_env = make_client  # type: ignore[method-assign, assignment]
    if max_file_bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    main()


if __name__ == "__main__":
    run_command()
