"""Genes of selected regions, predicted with the sequence around them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

import numpy as np

from dnaannot.dna.interval import Interval
from dnaannot.dna.names import listed, same_name
from dnaannot.dna.sequence import GAP, mark_gaps
from dnaannot.dna.transcript import Transcript
from dnaannot.errors import DataError
from dnaannot.formats.regions import WHOLE_SEQUENCE, read_regions
from dnaannot.predict.genes import GenePredictor, Genes, OnLabels

FLANK = 100_000
"""Bases of context to each side of a region, at first."""

_OTHER_GENOME = "Give the genome that the regions were made on."

Span = tuple[int, int]


class WantedRegions:
    """The regions of a BED file, or one written as in samtools, by sequence.

    Args:
        names: as `read_regions` takes them.

    Attributes:
        path: the file, or the region's text.
        regions: in its order.

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
        self.regions = [r._replace(end=min(r.end, sizes[r.sequence])) for r in self.regions]

    def on(self, name: str, length: int) -> list[Span]:
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


def predict_all_regions(
    predictor: GenePredictor,
    sequences: Iterable[tuple[str, np.ndarray]],
    wanted: WantedRegions,
    on_labels: OnLabels | None = None,
) -> Iterator[Genes]:
    """As `predict_regions`, of every sequence with a region, in order.

    Raises:
        DataError: if a region is on no sequence, or past the end of its own.
    """
    sizes = {}
    for name, codes in sequences:
        sizes[name] = len(codes)
        spans = wanted.on(name, len(codes))
        if spans:
            yield predict_regions(predictor, name, codes, spans, on_labels)
    wanted.check(sizes)


def predict_regions(
    predictor: GenePredictor,
    name: str,
    codes: np.ndarray,
    regions: Sequence[Span],
    on_labels: OnLabels | None = None,
) -> Genes:
    """The genes of one sequence that overlap a region.

    Each region is predicted with `FLANK` bases of its surroundings, and with twice as many as
    long as one of its genes touches an end of that stretch which is no end of the sequence.

    Args:
        codes: (L,) of the whole sequence.
        regions: half-open intervals on it, in any order; they may overlap.
        on_labels: receives the label posteriors of the regions' bases.
    """
    found: list[Transcript] = []
    for spans in clusters(regions):
        transcripts, flank = _around(predictor, name, codes, spans)
        last = found[-1].end if found else 0
        found += [transcript for transcript in transcripts if transcript.start >= last]
        if on_labels is not None:
            _label(predictor, name, codes, spans, flank, on_labels)
    return Genes(name, codes, iter(found))


def clusters(regions: Iterable[Span]) -> list[list[Span]]:
    """Ascending disjoint spans of all bases in regions, those closer than `FLANK` together."""
    together: list[list[Span]] = []
    for start, end in sorted(regions):
        if not together or start > together[-1][-1][1] + FLANK:
            together.append([(start, end)])
        elif start > together[-1][-1][1]:
            together[-1].append((start, end))
        else:
            last_start, last_end = together[-1][-1]
            together[-1][-1] = last_start, max(last_end, end)
    return together


def _stretch(
    predictor: GenePredictor, codes: np.ndarray, spans: Sequence[Span], flank: int
) -> Span:
    """Spans with their surroundings, from a multiple of the stride on."""
    low = max(0, spans[0][0] - flank) // predictor.stride * predictor.stride
    return low, min(len(codes), spans[-1][1] + flank)


def _around(
    predictor: GenePredictor, name: str, codes: np.ndarray, spans: Sequence[Span]
) -> tuple[list[Transcript], int]:
    """The genes that overlap spans, and how many bases of surroundings they needed."""
    flank = FLANK
    while True:
        low, high = _stretch(predictor, codes, spans, flank)
        found = [
            transcript.moved(low)
            for genes in predictor.predict([(name, codes[low:high])])
            for transcript in genes.transcripts
            if any(transcript.start + low < b and transcript.end + low > a for a, b in spans)
        ]
        if not any(_is_cut(t, codes, low, high, predictor.min_gap) for t in found):
            return found, flank
        flank *= 2


def _label(
    predictor: GenePredictor,
    name: str,
    codes: np.ndarray,
    spans: Sequence[Span],
    flank: int,
    on_labels: OnLabels,
) -> None:
    """Hand on the posteriors of the bases in spans."""
    low, high = _stretch(predictor, codes, spans, flank)

    def on_block(_: str, start: int, posteriors: np.ndarray) -> None:
        first = low + start
        for a, b in spans:
            kept = posteriors[max(a - first, 0) : max(b - first, 0)]
            if len(kept):
                on_labels(name, max(a, first), kept)

    for genes in predictor.predict([(name, codes[low:high])], on_block):
        for _ in genes.transcripts:
            pass


def _is_cut(transcript: Transcript, codes: np.ndarray, low: int, high: int, min_gap: int) -> bool:
    """Whether a partial gene is so because the stretch from `low` to `high` ends there."""
    cut_low, cut_high = transcript.cut_ends

    def open_between(start: int, end: int) -> bool:
        return not (mark_gaps(codes[start:end], min_gap) == GAP).any()

    return (cut_low and low > 0 and open_between(low, transcript.start)) or (
        cut_high and high < len(codes) and open_between(transcript.end, high)
    )
