"""Pages of the tables: the diagram with every column, and the views."""

from __future__ import annotations

from html import escape

from docs.site.places import ROOT
from quivo_frames.explorer.table_diagram import BOX_HEIGHT, LINE_HEIGHT, DiagramBox, TableDiagram, draw_diagram
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import TABLES, Column, Table

_SIGN_WIDTH = 7
"""How wide a letter of the diagram is: its font is of 12 pixels, and all letters are equally wide."""
_ABOUT = """Every column of the {tables} tables: a table and a column lead to what the [dictionary](dictionary.md) says
of them. Each table refers to the one on its left by its key, and by `order_id` to `orders`; `failures` and `notes`, of
what a build noticed, stand alone. **Bold** is the key of a table, *italics* refer to another one."""
_ABOUT_VIEWS = """An export to DuckDB has these views. Where a database holds the tables under the same names, they can
be made there, too: [views.sql](../files/schemas/views.sql)."""


def render_pages() -> dict[str, str]:
    """The diagram of the tables, and the views."""
    return {"erd.md": _render_diagram_page(), "views.md": _render_views()}


def _render_diagram_page() -> str:
    tables = TABLES | DERIVED_TABLES
    diagram = draw_diagram({}, _width_of_boxes(tables), with_columns=True)
    lines = [
        "---",
        "hide-toc: true",
        "---",
        "",
        "# Diagram of the tables",
        "",
        _ABOUT.format(tables=len(tables)),
        "",
        _draw_svg(diagram, tables),
    ]
    lines += ["", "## References", "", "| table | column | refers to |", "|---|---|---|"]
    lines += [
        f"| [{table.name}](dictionary.md#{table.name}) | {column} | [{to}](dictionary.md#{to}) |"
        for table in tables.values()
        for column, to, _ in table.references
    ]
    return "\n".join([*lines, ""])


def _width_of_boxes(tables: dict[str, Table]) -> int:
    signs = max(len(column.name) + len(_type_of(column)) for table in tables.values() for column in table.columns)
    return (signs + 5) * _SIGN_WIDTH + 6


def _type_of(column: Column) -> str:
    return str(column.kind)


def _draw_svg(diagram: TableDiagram, tables: dict[str, Table]) -> str:
    """The diagram as SVG on one line, as Markdown ends a block of HTML at the first empty one."""
    size = f'viewBox="0 0 {diagram.width} {diagram.height}" width="{diagram.width}" height="{diagram.height}"'
    lines = "".join(f'<path d="{line.path}"><title>{escape(line.label)}</title></path>' for line in diagram.lines)
    boxes = "".join(_draw_box(box, tables[box.name]) for box in diagram.boxes)
    return (
        '<div class="diagram" role="region" tabindex="0" aria-label="Diagram of the tables">'
        f'<svg xmlns="http://www.w3.org/2000/svg" role="group" aria-label="Diagram of the tables" {size}>{lines}{boxes}'
        "</svg></div>"
    )


def _draw_box(box: DiagramBox, table: Table) -> str:
    foreign = {name for name, *_ in table.references}
    rows = [
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="4"/>',
        f'<a href="dictionary.html#{box.name.replace("_", "-")}"><title>One row per {escape(box.grain)}</title>',
        f'<text class="table" x="{box.x + 10}" y="{box.y + 20}">{box.name}</text></a>',
    ]
    for place, column in enumerate(box.columns):
        y = box.y + BOX_HEIGHT + place * LINE_HEIGHT + 12
        kind = "key" if column.name == table.key else "foreign" if column.name in foreign else "column"
        rows.append(
            f'<a href="dictionary.html#{box.name}.{column.name}"><title>{escape(column.sentence)}</title>'
            f'<text class="{kind}" x="{box.x + 10}" y="{y}">{column.name}</text></a>'
            f'<text class="type" x="{box.x + box.width - 10}" y="{y}">{_type_of(column)}</text>'
        )
    return "".join(rows)


def _render_views() -> str:
    sql = (ROOT / "schemas" / "views.sql").read_text(encoding="utf-8").strip()
    return f"# Views\n\n{_ABOUT_VIEWS}\n\n```sql\n{sql}\n```\n"
