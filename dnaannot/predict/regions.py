"""Genes of selected regions, predicted with the sequence around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

import numpy as np

from dnaannot.dna.sequence import mark_gaps
from dnaannot.dna.transcript import Transcript, is_cut_short
from dnaannot.formats.spool import Spool
from dnaannot.formats.wanted_regions import WantedRegions
from dnaannot.predict.genes import GenePredictor, Genes, OnLabels

FLANK = 100_000
"""Bases of context to each side of a region, at first."""

Span = tuple[int, int]


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
        last = found[-1].end if found else 0
        around = _around(predictor, name, codes, spans, on_labels)
        found += [transcript for transcript in around if transcript.start >= last]
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


def _around(
    predictor: GenePredictor,
    name: str,
    codes: np.ndarray,
    spans: Sequence[Span],
    on_labels: OnLabels | None,
) -> list[Transcript]:
    """The genes that overlap spans; the posteriors of the spans' bases are handed on."""
    flank = FLANK
    while True:
        low = max(0, spans[0][0] - flank) // predictor.stride * predictor.stride
        high = min(len(codes), spans[-1][1] + flank)
        with closing(_LabelsOfSpans(spans, low)) as labels:
            on_block = None if on_labels is None else labels.add
            found = [
                transcript
                for genes in predictor.predict([(name, codes[low:high])], on_block)
                for transcript in genes.transcripts
                if any(transcript.start + low < b and transcript.end + low > a for a, b in spans)
            ]
            marked = mark_gaps(codes[low:high], predictor.min_gap)
            goes_on = low > 0, high < len(codes)
            if not any(is_cut_short(transcript, marked, goes_on) for transcript in found):
                if on_labels is not None:
                    labels.hand_on(name, on_labels)
                return [transcript.moved(low) for transcript in found]
        flank *= 2


class _LabelsOfSpans:
    """Label posteriors of the bases in spans, on disk until it is known that they are final.

    Args:
        spans: disjoint and ascending.
        low: where the stretch that is predicted begins on the sequence.
    """

    def __init__(self, spans: Sequence[Span], low: int) -> None:
        self._spans, self._low = spans, low
        self._spool: Spool | None = None
        self._parts: list[tuple[int, tuple[int, ...], np.dtype]] = []

    def add(self, _: str, start: int, posteriors: np.ndarray) -> None:
        """Keep of a block what lies in the spans."""
        self._spool = self._spool or Spool()
        first = self._low + start
        for a, b in self._spans:
            kept = posteriors[max(a - first, 0) : max(b - first, 0)]
            if len(kept):
                self._spool.write(np.ascontiguousarray(kept).tobytes())
                self._parts.append((max(a, first), kept.shape, kept.dtype))

    def hand_on(self, name: str, on_labels: OnLabels) -> None:
        """Give all that was kept to `on_labels`, in order."""
        if self._spool is None:
            return
        self._spool.rewind()
        for start, shape, kind in self._parts:
            read = self._spool.read(math.prod(shape) * kind.itemsize)
            on_labels(name, start, np.frombuffer(read, kind).reshape(shape))

    def close(self) -> None:
        """Free the disk."""
        if self._spool is not None:
            self._spool.close()
