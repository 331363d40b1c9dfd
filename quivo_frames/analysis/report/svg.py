"""Renders Altair charts as inline SVG: without scripts, in the colours of the page, with a tooltip for each mark."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import altair as alt
import vl_convert
from markupsafe import Markup

Plot = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart
"""The kinds of charts that can be rendered."""

_NAMESPACES = ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1"'
_FOR_READERS = ("role", "aria-label", "aria-roledescription", "aria-hidden", "pointer-events")
"""Attributes of marks for screen readers. They are removed: the chart is one image, with a caption and a table."""

_STYLE = alt.Config(
    background="transparent",
    font="sans-serif",
    view=alt.ViewConfig(stroke=None),
    axis=alt.AxisConfig(
        labelColor="var(--soft)", titleColor="var(--soft)", gridColor="var(--line)", domainColor="var(--strong-line)",
        tickColor="var(--strong-line)", labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=8,
        labelPadding=5, ticks=False, domain=False,
    ),
    legend=alt.LegendConfig(
        labelColor="var(--soft)", labelFontSize=12, title=None, orient="top", symbolType="square", padding=0, offset=8,
        symbolStrokeWidth=0, columnPadding=20,
    ),
    title=alt.TitleConfig(color="var(--ink)", fontSize=12, fontWeight="normal", anchor="start", offset=6),
)  # fmt: skip


def render_svg(chart: Plot, kind: str, named_by: str) -> Markup:
    """The chart as an SVG of class `kind`, labelled by the element `named_by`, at most as wide as it was drawn.

    The description of a mark (`description=`) becomes its tooltip.
    """
    text = vl_convert.vegalite_to_svg(chart.properties(config=_STYLE).to_dict())
    svg = ET.fromstring(text.replace(_NAMESPACES, "", 1))  # noqa: S314 - rendered one line above
    for mark in svg.iter():
        words = mark.get("aria-label")
        if words is not None and mark.get("aria-roledescription") not in ("axis", "legend"):
            ET.SubElement(mark, "title").text = words
        for name in _FOR_READERS:
            mark.attrib.pop(name, None)
    width = svg.attrib.pop("width")
    svg.attrib.pop("height")
    svg.attrib |= {"class": kind, "role": "img", "aria-labelledby": named_by, "style": f"max-width:{width}px"}
    return Markup(ET.tostring(svg, encoding="unicode"))  # noqa: S704 - ElementTree has escaped what is from the data
