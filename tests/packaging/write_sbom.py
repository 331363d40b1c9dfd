"""Writes what quivo_frames depends on, as uv.lock has it, as a CycloneDX document: the same bytes each time.

    uv export --frozen --no-default-groups --extra all --format cyclonedx1.5 | python tests/packaging/write_sbom.py FILE

It needs the environment of `make release`. The document is checked against the schema of CycloneDX before it is written.
"""

from __future__ import annotations

import json
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LISTED = ("type", "bom-ref", "name", "version", "purl", "properties")
"""What is kept of a component: not the addresses and digests of its files, of which uv.lock has hundreds."""


def make_document(exported: dict[str, Any]) -> dict[str, Any]:
    """The document of uv without what differs each time, and with what is known of the package itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = exported["metadata"]["component"] | {
        "description": project["description"],
        "licenses": [{"expression": project["license"]}],
        "purl": f"pkg:pypi/{project['name']}@{project['version']}",
    }
    components = [{name: found[name] for name in LISTED if name in found} for found in exported["components"]]
    document = {
        "bomFormat": exported["bomFormat"],
        "specVersion": exported["specVersion"],
        "version": 1,
        "metadata": {"tools": exported["metadata"]["tools"], "component": package},
        "components": components,
        "dependencies": exported["dependencies"],
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    return document | {"serialNumber": f"urn:uuid:{number}"}


def refuse_invalid(text: str) -> None:
    """End if the schema of CycloneDX does not allow a document."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    if error := JsonStrictValidator(SchemaVersion.V1_5).validate_str(text):
        sys.exit(f"No valid CycloneDX document: {error}")


if __name__ == "__main__":
    text = json.dumps(make_document(json.load(sys.stdin)), indent=1, ensure_ascii=False) + "\n"
    refuse_invalid(text)
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
