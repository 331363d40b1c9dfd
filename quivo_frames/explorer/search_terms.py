"""What orders are searched by: ids, references, tracking numbers, SSCCs, serial numbers, SKUs, cities and tags."""

from __future__ import annotations

from quivo_frames.dataset.dataset import Dataset


class SearchTerms:
    """The terms of all orders of a dataset, sorted, in a private folder that is removed at the end."""

    @classmethod
    def build(cls, dataset: Dataset, *, personal: bool) -> SearchTerms:  # noqa: ARG003 - not yet
        """The terms; without `personal`, none of a column that may be personal."""
        return cls()

    def close(self) -> None:
        """Remove the folder."""
