"""Genes of selected regions, predicted with the sequence around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnaannot.dna.sequence import GAP, mark_gaps
from dnaannot.dna.transcript import Strand, Transcript
from dnaannot.predict.genes import GenePredictor, Genes

FLANK = 100_000
"""Bases of context to each side of a region, at first."""


def predict_regions(
    predictor: GenePredictor, name: str, codes: np.ndarray, regions: Sequence[tuple[int, int]]
) -> Genes:
    """The genes of one sequence that overlap a region.

    Each region is predicted with `FLANK` bases of its surroundings, and with twice as many as
    long as one of its genes touches an end of that stretch which is no end of the sequence.

    Args:
        codes: (L,) of the whole sequence.
        regions: half-open intervals on it, in any order; they may overlap.
    """
    wanted = merged(regions)
    found = {
        (transcript.start, transcript.end, transcript.strand): transcript
        for start, end in wanted
        for transcript in _around(predictor, name, codes, start, end)
    }
    ordered = sorted(found.values(), key=lambda transcript: (transcript.start, transcript.end))
    return Genes(name, codes, iter(ordered))


def merged(regions: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending union of half-open intervals; those closer than `FLANK` become one."""
    union: list[tuple[int, int]] = []
    for start, end in sorted(regions):
        if union and start <= union[-1][1] + FLANK:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((start, end))
    return union


def _around(
    predictor: GenePredictor, name: str, codes: np.ndarray, start: int, end: int
) -> list[Transcript]:
    flank = FLANK
    while True:
        low = max(0, start - flank) // predictor.stride * predictor.stride
        high = min(len(codes), end + flank)
        genes = next(predictor.predict([(name, codes[low:high])]))
        found = [
            transcript
            for transcript in (t.moved(low) for t in genes.transcripts)
            if transcript.start < end and transcript.end > start
        ]
        cut = any(_is_cut(transcript, codes, low, high, predictor.min_gap) for transcript in found)
        if not cut:
            return found
        flank *= 2


def _is_cut(transcript: Transcript, codes: np.ndarray, low: int, high: int, min_gap: int) -> bool:
    """Whether a partial gene is so because the stretch from `low` to `high` ends there."""
    is_plus = transcript.strand is Strand.PLUS
    has_low, has_high = transcript.has_start, transcript.has_stop
    if not is_plus:
        has_low, has_high = has_high, has_low

    def open_between(start: int, end: int) -> bool:
        return not (mark_gaps(codes[start:end], min_gap) == GAP).any()

    cut_low = not has_low and low > 0 and open_between(low, transcript.start)
    cut_high = not has_high and high < len(codes) and open_between(transcript.end, high)
    return cut_low or cut_high
