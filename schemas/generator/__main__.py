"""Writes the files of `schemas/` to the given folder."""

import sys
from pathlib import Path

from quivo_frames.errors import ConfigError
from schemas.generator import write_files

try:
    write_files(Path(sys.argv[1]))
except ConfigError as error:
    sys.exit(f"Nothing was written. {error}")
