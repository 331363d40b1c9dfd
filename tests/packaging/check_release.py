"""Ends with a sentence if a tag is not the version of the package, or if it names another repository than this one.

python tests/packaging/check_release.py v1.0.0rc1 https://github.com/owner/name
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def explain_refusal(tag: str, repository: str) -> str | None:
    """Why there must be no release; None if nothing is against it."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    if tag != f"v{project['version']}":
        return f"The tag is {tag}, and the version in pyproject.toml is {project['version']}: set one of them right."
    if repository != project["urls"]["Source"]:
        return (
            f"The package says that its source is {project['urls']['Source']}, and this is {repository}: "
            "set [project.urls] in pyproject.toml right."
        )
    return None


if __name__ == "__main__":
    sys.exit(explain_refusal(*sys.argv[1:]))
