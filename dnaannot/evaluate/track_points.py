"""Where measured labels say something, and what: windows or CpGs of each sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnaannot.dna.interval import covered_bases
from dnaannot.errors import DataError
from dnaannot.evaluate.track_inputs import METHYLATION, Pair, Predicted, SequenceFacts
from dnaannot.formats.bedmethyl import methylation_states, read_bedmethyl
from dnaannot.formats.bigwig_reader import BigWig
from dnaannot.formats.label_checks import (
    check_cpg_share,
    check_names,
    check_sizes,
    check_within,
)
from dnaannot.formats.label_files import LabelKind
from dnaannot.formats.labelled_windows import NOT_KNOWN
from dnaannot.formats.peaks import least_coverage, read_peaks


@dataclass(frozen=True)
class TrackRules:
    """What counts as positive.

    Attributes:
        window: bases of the windows that peaks and signals are compared in.
        coverage: as `least_coverage` takes it.
        min_reads: fewest reads for a CpG to count.
    """

    window: int = 512
    coverage: float | None = None
    min_reads: int = 5

    def least(self, track: Predicted) -> float:
        """Bases that peaks must cover of a positive window."""
        return least_coverage(self.window, track.is_histone, self.coverage)


class Points(NamedTuple):
    """Sites of one sequence.

    Attributes:
        spans: (n, 2) int64 windows, or the two bases of a CpG.
        labels: (n,) float64 0 or 1, NaN where not known.
        amounts: (n,) float64 of a quantity or a share, NaN where there is none.
    """

    spans: np.ndarray
    labels: np.ndarray
    amounts: np.ndarray


def measured_points(
    pair: Pair,
    sizes: Mapping[str, int],
    rules: TrackRules,
    genome: Mapping[str, SequenceFacts] | None,
) -> Iterator[tuple[str, Points]]:
    """What was measured, for each sequence of `sizes` that the label file names.

    Raises:
        InputFormatError: the label file is not what it should be.
        DataError: it does not belong to sequences of these lengths, or to the genome.
    """
    path, kind = pair.measured.path, pair.measured.kind
    if kind is LabelKind.PEAKS and pair.predicted.task == METHYLATION:
        raise DataError(
            f"intervals cannot be compared with '{pair.predicted.label}', which is methylation.",
            path=path,
            remedy="Give bedMethyl, or a table of windows around CpGs.",
        )
    if kind is LabelKind.PEAKS:
        peaks = read_peaks(path)
        check_names(peaks, sizes, path)
        check_within(peaks, sizes, path)
        least = rules.least(pair.predicted)
        for name in [name for name in sizes if name in peaks]:
            yield name, _peak_points(peaks[name], sizes[name], rules.window, least)
    elif kind is LabelKind.QUANTITY:
        with BigWig(path) as measured:
            check_names(measured.sizes, sizes, path)
            check_sizes(measured.sizes, sizes, path)
            shared = [name for name in sizes if name in measured.sizes]
            for name in filter(measured.has_values, shared):
                yield name, _signal_points(measured, name, rules.window)
    elif kind is LabelKind.WINDOWS:
        assert pair.measured.table is not None
        table = pair.measured.table.of
        check_names(table, sizes, path)
        check_within({name: windows.spans for name, windows in table.items()}, sizes, path)
        for name in [name for name in sizes if name in table]:
            labels = table[name].labels[:, pair.measured.column]
            known = np.where(labels == NOT_KNOWN, np.nan, labels)
            yield name, Points(table[name].spans, known, np.full(len(labels), np.nan))
    else:
        yield from _methylation_points(pair, sizes, rules, genome)


def _grid(length: int, window: int) -> np.ndarray:
    """Whole windows (n, 2) side by side from base 0 on."""
    starts = np.arange(0, length - window + 1, window, dtype=np.int64)
    return np.stack((starts, starts + window), axis=1)


def _peak_points(peaks: np.ndarray, length: int, window: int, least: float) -> Points:
    spans = _grid(length, window)
    positive = covered_bases(peaks, spans[:, 0], spans[:, 1]) >= least
    return Points(spans, positive.astype(float), np.full(len(spans), np.nan))


def _signal_points(measured: BigWig, name: str, window: int) -> Points:
    spans = _grid(measured.sizes[name], window)
    amounts = measured.means(name, window, missing=0.0)[: len(spans)]
    return Points(spans, np.full(len(spans), np.nan), amounts.astype(float))


def _methylation_points(
    pair: Pair,
    sizes: Mapping[str, int],
    rules: TrackRules,
    genome: Mapping[str, SequenceFacts] | None,
) -> Iterator[tuple[str, Points]]:
    path = pair.measured.path
    methylation = read_bedmethyl(path, rules.min_reads)
    check_names(methylation, sizes, path)
    check_within(
        {
            name: np.stack((of.positions, of.positions + 1), axis=1)
            for name, of in methylation.items()
        },
        sizes,
        path,
    )
    n_cpgs = n_sites = 0
    points: list[tuple[str, Points]] = []
    for name in [name for name in sizes if name in methylation]:
        sites = methylation[name].positions
        shares = methylation[name].percent / 100.0
        kept = (sites >= 0) & (sites + 2 <= sizes[name])
        if genome is not None:
            kept &= np.isin(sites, genome[name].cpgs)
        n_cpgs, n_sites = n_cpgs + int(kept.sum()), n_sites + len(kept)
        labels = methylation_states(shares).astype(float)
        spans = np.stack((sites, sites + 2), axis=1)
        points.append((name, Points(spans[kept], labels[kept], shares[kept])))
    check_cpg_share(n_cpgs, n_sites, path)
    yield from points
