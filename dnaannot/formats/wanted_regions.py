"""The regions that a user asks for, on the sequences of a genome."""

from __future__ import annotations

from collections.abc import Container, Mapping

from dnaannot.dna.interval import Interval
from dnaannot.dna.names import listed, same_name
from dnaannot.errors import DataError
from dnaannot.formats.regions import WHOLE_SEQUENCE, read_regions

_OTHER_GENOME = "Give the genome that the regions were made on."


class WantedRegions:
    """The regions of a BED file, or one written as in samtools, by sequence.

    Args:
        names: as `read_regions` takes them.

    Attributes:
        path: the file, or the region's text.
        regions: in its order; their end may be `WHOLE_SEQUENCE`.

    Raises:
        InputFormatError: if the file is no BED.
        DataError: if it is neither a file nor a region.
    """

    def __init__(self, path: str, names: Container[str] = ()) -> None:
        self.path, self.regions = path, read_regions(path, names)
        self._of: dict[str, list[Interval]] = {}
        for region in self.regions:
            self._of.setdefault(region.sequence, []).append(region)

    def check(self, sizes: Mapping[str, int]) -> None:
        """Make sure that sequences of these sizes, by name, hold all regions.

        Raises:
            DataError: if one is on another sequence or reaches past the end of its own.
        """
        for name, regions in self._of.items():
            if name in sizes:
                self.on(name, sizes[name])
                continue
            remedy, other = _OTHER_GENOME, same_name(name, sizes)
            if other is not None:
                remedy = f"Write the names in the regions as the genome does: '{other}'."
            raise DataError(
                f"sequence '{name}' is not in the genome, which has {listed(sizes)}.",
                path=self.path,
                line=regions[0].line or None,
                remedy=remedy,
            )

    def within(self, sizes: Mapping[str, int]) -> list[Interval]:
        """The regions in the file's order, checked; open ones end where their sequence does.

        Raises:
            DataError: as `check`.
        """
        self.check(sizes)
        return [r._replace(end=min(r.end, sizes[r.sequence])) for r in self.regions]

    def on(self, name: str, length: int) -> list[tuple[int, int]]:
        """The regions on a sequence of this length.

        Raises:
            DataError: if one reaches past its end.
        """
        regions = self._of.get(name, [])
        for region in regions:
            is_open = region.end == WHOLE_SEQUENCE
            if length < (region.start + 1 if is_open else region.end):
                reach = f"begins at {region.start + 1:,}" if is_open else f"ends at {region.end:,}"
                raise DataError(
                    f"the region {reach}, past the end of '{name}' ({length:,} bases).",
                    path=self.path,
                    line=region.line or None,
                    remedy=_OTHER_GENOME,
                )
        return [(region.start, min(region.end, length)) for region in regions]
