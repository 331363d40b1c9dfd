"""The files of a Power BI project around its model: the project, the properties of model and report, and an empty page.

https://learn.microsoft.com/power-bi/developer/projects/projects-overview
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from quivo_frames.export.powerbi_model import model_id

PROJECT, MODEL, REPORT = "quivo.pbip", "quivo.SemanticModel", "quivo.Report"
_SCHEMAS = "https://developer.microsoft.com/json-schemas/fabric"
_PAGE = "page1"


def project_files(model: Mapping[str, str]) -> dict[str, str]:
    """All files of a project by their path, given those of the model's definition."""
    settings = {"useStylableVisualContainerHeader": True}
    page = {"name": _PAGE, "displayName": "Page 1", "displayOption": "FitToPage", "height": 720, "width": 1280}
    documents = {
        PROJECT: _document(
            "pbip/pbipProperties/1.0.0", version="1.0", artifacts=[{"report": {"path": REPORT}}],
            settings={"enableAutoRecovery": True},
        ),
        f"{MODEL}/definition.pbism": _document(
            "item/semanticModel/definitionProperties/1.0.0", version="4.2", settings={}
        ),
        f"{MODEL}/.platform": _platform_document("SemanticModel"),
        f"{REPORT}/definition.pbir": _document(
            "item/report/definitionProperties/2.0.0", version="4.0",
            datasetReference={"byPath": {"path": f"../{MODEL}"}},
        ),
        f"{REPORT}/.platform": _platform_document("Report"),
        f"{REPORT}/definition/version.json": _document(
            "item/report/definition/versionMetadata/1.0.0", version="2.0.0"
        ),
        f"{REPORT}/definition/report.json": _document(
            "item/report/definition/report/3.0.0", themeCollection={}, settings=settings
        ),
        f"{REPORT}/definition/pages/pages.json": _document(
            "item/report/definition/pagesMetadata/1.0.0", pageOrder=[_PAGE], activePageName=_PAGE
        ),
        f"{REPORT}/definition/pages/{_PAGE}/page.json": _document("item/report/definition/page/2.0.0", **page),
    }  # fmt: skip
    written = {path: json.dumps(document, indent=2) + "\n" for path, document in documents.items()}
    return written | {f"{MODEL}/definition/{path}": text for path, text in model.items()}


def _document(schema: str, **content: object) -> dict[str, object]:
    return {"$schema": f"{_SCHEMAS}/{schema}/schema.json", **content}


def _platform_document(kind: str) -> dict[str, object]:
    return _document(
        "gitIntegration/platformProperties/2.0.0",
        metadata={"type": kind, "displayName": "quivo"},
        config={"version": "2.0", "logicalId": model_id(kind)},
    )
