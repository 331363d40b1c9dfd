"""The result of qf.kpis: a frame per KPI, with definitions and a display for the prompt and notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

import polars as pl

from quivo_frames.analysis.kpi.kpi import Definition
from quivo_frames.display.html import html_table
from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.export.formats import WorkbookSheet
from quivo_frames.model.tables import cast_to_schema, table_of_named_tuple

UNTOLD: Mapping[str, str] = {
    "dock to stock": "The orders say nothing about incoming goods.",
    "inventory accuracy": "The orders say nothing about stock counts in the warehouse.",
    "order picking accuracy": "Wrong picks that were corrected before shipping leave no trace.",
    "perfect condition": "Nobody records whether the goods arrived undamaged.",
    "documentation accuracy": "Invoices and delivery notes are not in the data; proof of delivery is, see pod_lag.",
    "returns": "Returns are not part of an order; the API has them elsewhere.",
    "cost per order": "The amounts of an order are those of its goods; the costs of fulfillment are not in the data.",
}
"""Common KPIs that the data cannot tell, and why."""


class KeyFigure(NamedTuple):
    """One row of the sheet `kpis`: a figure of a KPI."""

    kpi: Annotated[str, "What it measures."]
    of: Annotated[str | None, "Of which part: a group, a promise, a stage; null for all orders."]
    figure: Annotated[str, "The figure: a count, a rate (0 to 1), or days (mean, p50: half within, p90, max)."]
    value: Annotated[float | None, "Its value; null if nothing can be judged."]
    orders: Annotated[int, "How many orders the KPI is about.", "orders"]
    as_of: Annotated[datetime, "The instant for which it was computed.", "UTC"]
    definition: Annotated[str, "How the KPI is defined."]
    limits: Annotated[str, "What it cannot see."]


_DECIMALS = 6
KEY_FIGURES = table_of_named_tuple("kpis", "figure of a KPI", KeyFigure)
"""The columns of the sheet of key figures."""


class Kpis(Mapping[str, pl.DataFrame]):
    """The KPIs by name, each a frame: `kpis.fill_rate` or `kpis["fill_rate"]`.

    `definitions` holds how each is defined (title, text, reference, limits), `about` how many orders each is about,
    `untold` which common KPIs the data cannot tell, and why. `as_of`, `by` and `on_time_against` are as asked for.
    """

    def __init__(
        self, frames: Mapping[str, pl.DataFrame], definitions: Mapping[str, Definition], about: Mapping[str, int],
        as_of: datetime, by: tuple[str, ...], on_time_against: str,
    ) -> None:  # fmt: skip
        self._frames = frames
        self.definitions = definitions
        self.about = about
        self.untold = UNTOLD
        self.as_of = as_of
        self.by = by
        self.on_time_against = on_time_against

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self._frames[name]

    def __getattr__(self, name: str) -> pl.DataFrame:
        if name.startswith("_"):  # also asked for before there are frames: when the KPIs are unpickled
            raise AttributeError(name)
        if name in self._frames:
            return self._frames[name]
        raise AttributeError(f"There is no KPI {name!r}. The KPIs are: {', '.join(self)}.")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._frames]

    def __iter__(self) -> Iterator[str]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def as_sheet(self) -> WorkbookSheet:
        """The key figures, one a row, as a sheet of an Excel export: `tables.export("excel", file, sheets=[kpis])`."""
        return WorkbookSheet(KEY_FIGURES, pl.concat(map(self._key_figures, self), how="vertical"))

    def _key_figures(self, name: str) -> pl.DataFrame:
        """The figures of a KPI: its texts and days say of which orders each is."""
        frame, definition = self[name], self.definitions[name]
        figures = [column for column, dtype in frame.schema.items() if dtype.is_numeric()]
        groups = [column for column in frame.columns if column not in figures]
        named = [
            pl.concat_str(pl.lit(f"{group} "), pl.col(group).cast(pl.String).fill_null("unknown")) for group in groups
        ]
        of = pl.concat_str(named, separator=", ") if named else pl.lit(None, pl.String)
        rows = frame.select(of.alias("of"), pl.col(figures).cast(pl.Float64).round(_DECIMALS)).with_row_index("place")
        texts = {"kpi": definition.title, "definition": definition.text, "limits": definition.limits}
        long = rows.unpivot(index=("place", "of"), variable_name="figure").sort("place", maintain_order=True)
        return long.with_columns(
            pl.lit(self.about[name], pl.Int64).alias("orders"), pl.lit(self.as_of).alias("as_of"),
            **{column: pl.lit(text) for column, text in texts.items()},
        ).select(cast_to_schema(KEY_FIGURES.schema))  # fmt: skip

    def headline(self) -> str:
        """What was asked for, in a sentence."""
        by = f" by {', '.join(self.by)}" if self.by else ""
        return f"KPIs{by} as of {self.as_of:%Y-%m-%d %H:%M} UTC, on time against {self.on_time_against}"

    def titles_by_name(self) -> Iterator[tuple[str, str]]:
        """The KPIs with their titles, and how many orders each is about."""
        for name, definition in self.definitions.items():
            yield name, f"{definition.title} ({format_count(self.about[name], 'order')})"

    def __repr__(self) -> str:
        with _display_config():
            shown = (f"{title}\n{_displayed_frame(self[name])}" for name, title in self.titles_by_name())
            return "\n\n".join([self.headline(), *shown])

    def _repr_html_(self) -> str:
        shown = (html_table(title, self[name].iter_rows(), self[name].columns) for name, title in self.titles_by_name())
        return f"<p>{html.escape(self.headline())}</p>{''.join(shown)}"


def _displayed_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame as it is displayed: texts of orders cannot control the terminal."""
    return frame.with_columns(pl.selectors.string().map_elements(terminal_text, return_dtype=pl.String))


def _display_config() -> pl.Config:
    return pl.Config(
        tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_cols=-1, tbl_rows=20, tbl_width_chars=120,
        float_precision=3,
    )  # fmt: skip
