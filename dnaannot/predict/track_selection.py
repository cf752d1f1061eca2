"""What regions select of a genome's tracks: what is worked through, and what is written."""

from __future__ import annotations

import numpy as np

from dnaannot.dna.interval import covered_bases, union
from dnaannot.formats.wanted_regions import WantedRegions
from dnaannot.predict.track_preview import Preview
from dnaannot.predict.tracks import Values


class Selection:
    """Regions to write, and stretches that are shown beside.

    Args:
        wanted: None for the whole genome.
        preview: None for none.
    """

    def __init__(self, wanted: WantedRegions | None, preview: Preview | None = None) -> None:
        self._wanted, self._preview = wanted, preview
        self._written: dict[str, np.ndarray] = {}

    def worked(self, sequence: str, length: int) -> np.ndarray | None:
        """The `union` (m, 2) of what must be predicted of a sequence; None for all of it.

        Raises:
            DataError: if a region reaches past the sequence's end.
        """
        if self._wanted is None:
            return None
        regions = np.array(self._wanted.on(sequence, length), np.int64).reshape(-1, 2)
        self._written[sequence] = union(regions)
        if self._preview is None:
            return self._written[sequence]
        return union(np.concatenate((regions, self._preview.spans(sequence))))

    def written(self, values: Values) -> Values:
        """The values of sites that overlap a region."""
        if self._wanted is None:
            return values
        regions = self._written[values.sequence]
        kept = covered_bases(regions, values.starts, values.ends) > 0
        return values._replace(
            starts=values.starts[kept], ends=values.ends[kept], values=values.values[kept]
        )
