"""Makes the site in a folder: `python -m docs.site FOLDER`. Beside it stand its sources, in FOLDER-source."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sphinx.cmd.build import build_main

from docs.site.links import find_flaws
from docs.site.sources import remove_earlier, write_sources


def main(out: Path) -> int:
    """Make the site; the exit status is 0 if it has no flaw."""
    began = time.monotonic()
    source = out.with_name(f"{out.name}-source")
    try:
        remove_earlier(out, ".buildinfo")
        write_sources(source)
    except FileExistsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    ran = time.monotonic()
    options = ["-W", "--keep-going", "-n", "-q", "-E", "-b", "html", "-d", str(source / ".doctrees")]
    if build_main([*options, str(source), str(out)]):
        return 1
    flaws = find_flaws(out)
    sys.stderr.writelines(f"{flaw}\n" for flaw in flaws)
    pages = sum(1 for _ in out.rglob("*.html"))
    ended = time.monotonic()
    sys.stdout.write(
        f"{pages} pages in {out}, {len(flaws)} broken links: {ran - began:.0f} s for sources with the notebooks run, "
        f"{ended - ran:.0f} s for pages\nOpen {out / 'index.html'} in a browser.\n"
    )
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
