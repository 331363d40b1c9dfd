"""`python -m quivo_frames.cli` is `quivo-frames`."""

from __future__ import annotations

from quivo_frames.cli import main

main(prog_name="quivo-frames")
