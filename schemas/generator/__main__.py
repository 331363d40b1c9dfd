"""Writes the files of `schemas/` into the folder that is given."""

import sys
from pathlib import Path

from quivo_frames.errors import ConfigError
from schemas.generator import write

try:
    write(Path(sys.argv[1]))
except ConfigError as error:
    sys.exit(f"Nothing was written. {error}")
