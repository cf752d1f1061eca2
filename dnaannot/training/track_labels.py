"""Label files of any kind as sources of targets: which positions, and what is known there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from dnaannot.datasets.tracks import UNKNOWN, grid_centres, peak_targets
from dnaannot.errors import DataError
from dnaannot.formats.bedmethyl import Methylation, methylation_states, read_bedmethyl
from dnaannot.formats.bigwig_reader import BigWig
from dnaannot.formats.label_checks import (
    at_cpgs,
    check_cpg_share,
    check_names,
    check_sizes,
    check_within,
)
from dnaannot.formats.label_files import LabelKind, label_kind
from dnaannot.formats.label_names import label_name, named_task
from dnaannot.formats.labelled_windows import NOT_KNOWN, LabelledWindows, read_windows
from dnaannot.formats.peaks import least_coverage, read_peaks
from dnaannot.nn.tracks import TrackLabel


@dataclass(frozen=True)
class LabelRules:
    """How label files become targets.

    Attributes:
        window: bases around a position that its label is about.
        tasks: (pattern, task) pairs; a label is of the task of the first pattern that its name
            matches, else of the one that its kind of file or its name tells.
        coverage: as `least_coverage` takes it.
        min_reads: fewest reads for a CpG to count.
        is_soft: learn the share of methylated reads itself, not whether it is high or low.
        threshold: signal from which on a window is positive; None to learn the signal itself.
    """

    window: int
    tasks: Sequence[tuple[str, str]] = ()
    coverage: float | None = None
    min_reads: int = 5
    is_soft: bool = False
    threshold: float | None = None

    def task_of(self, name: str, path: Path, otherwise: str | None = None) -> str:
        """The task of a label.

        Args:
            path: of its file.
            otherwise: the task without a pattern, whatever the name tells.

        Raises:
            DataError: nothing tells.
        """
        given = next((task for pattern, task in self.tasks if fnmatchcase(name, pattern)), None)
        task = given or otherwise or named_task(name)
        if task is None:
            raise DataError(
                f"what is the label '{name}' about?",
                path=path,
                remedy=f"Say it with --task accessibility (or histone, ctcf, methylation, or a "
                f"word of your own), or for this label alone with --task '{name}=...'.",
            )
        return task

    def least(self, task: str) -> float:
        """Bases that peaks must cover of a positive window."""
        return least_coverage(self.window, task == "histone", self.coverage)


class LabelSource(ABC):
    """What one file tells.

    Attributes:
        path: the file.
        labels: that it gives.
        names: sequences that it speaks of.
        sites: None where any position can be labelled; "cpg" or "windows" where it has its own.
        dtype: of its targets, as `TrackSequence` has them.
        notes: what a user should know of the file.
    """

    path: Path
    labels: tuple[TrackLabel, ...]
    names: tuple[str, ...]
    sites: str | None = None
    dtype: type[np.uint8 | np.float32] = np.uint8
    notes: tuple[str, ...] = ()

    def check(self, genome: Mapping[str, np.ndarray]) -> None:
        """Refuse a file that does not belong to a genome, codes (L,) by sequence name.

        Raises:
            DataError: it does not.
        """
        check_names(self.names, genome, self.path)

    def centres(self, name: str, codes: np.ndarray) -> np.ndarray:
        """Its own positions (n,) on a sequence, in any order."""
        raise NotImplementedError

    @abstractmethod
    def targets(self, name: str, codes: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Targets (n, k) of its labels at positions (n,), as `TrackSequence` has them."""

    def nothing(self, centres: np.ndarray) -> np.ndarray:
        """Targets (n, k) of positions (n,) where nothing is known."""
        unknown = UNKNOWN if self.dtype is np.uint8 else np.nan
        return np.full((len(centres), len(self.labels)), unknown, self.dtype)


class Peaks(LabelSource):
    """Intervals: a window is positive where they cover enough of it, negative elsewhere.

    Of a sequence that the file does not name nothing is known.
    """

    def __init__(self, path: Path, rules: LabelRules) -> None:
        self.path, self._window = path, rules.window
        self._peaks = read_peaks(path)
        name = label_name(path)
        self.labels = (TrackLabel(rules.task_of(name, path), name),)
        self.names = tuple(self._peaks)
        if self.labels[0].task == "methylation":
            raise DataError(
                "is made of intervals, which do not tell the methylation of single CpGs.",
                path=path,
                remedy="Give bedMethyl (modkit pileup), or a table of windows around CpGs.",
            )
        self._least = rules.least(self.labels[0].task)

    def check(self, genome: Mapping[str, np.ndarray]) -> None:
        super().check(genome)
        check_within(self._peaks, _sizes(genome), self.path)

    def targets(self, name: str, codes: np.ndarray, centres: np.ndarray) -> np.ndarray:
        if name not in self._peaks:
            return self.nothing(centres)
        return peak_targets(self._peaks[name], centres, self._window, self._least)[:, None]


class Signal(LabelSource):
    """A bigWig: the mean over a window, as log1p, or whether it reaches a threshold.

    Bases without a value count as 0; of a sequence without any nothing is known.
    """

    def __init__(self, path: Path, rules: LabelRules) -> None:
        self.path, self._window, self._threshold = path, rules.window, rules.threshold
        name = label_name(path)
        kind = "quantity" if rules.threshold is None else "binary"
        task = rules.task_of(name, path, named_task(name) or "signal")
        self.labels = (TrackLabel(task, name, kind),)
        with BigWig(path) as track:
            self._sizes = track.sizes
        self.names = tuple(self._sizes)
        self.dtype = np.float32 if rules.threshold is None else np.uint8

    def check(self, genome: Mapping[str, np.ndarray]) -> None:
        super().check(genome)
        check_sizes(self._sizes, _sizes(genome), self.path)

    def targets(self, name: str, codes: np.ndarray, centres: np.ndarray) -> np.ndarray:
        starts = centres - self._window // 2
        ends = np.minimum(starts + self._window, len(codes))
        with BigWig(self.path) as track:
            if name not in self._sizes or not track.has_values(name):
                return self.nothing(centres)
            means = track.window_means(name, np.maximum(starts, 0), ends, missing=0.0)
        if self._threshold is not None:
            return (means >= self._threshold).astype(np.uint8)[:, None]
        return np.log1p(np.maximum(means, 0)).astype(np.float32)[:, None]


class MethylatedSites(LabelSource):
    """bedMethyl: CpGs by their `methylation_states`, or the shares of methylated reads."""

    sites = "cpg"

    def __init__(self, path: Path, rules: LabelRules) -> None:
        self.path = path
        self._of: dict[str, Methylation] = read_bedmethyl(path, rules.min_reads)
        name = label_name(path)
        self.labels = (TrackLabel(rules.task_of(name, path, "methylation"), name),)
        self.names = tuple(self._of)
        self.dtype = np.float32 if rules.is_soft else np.uint8

    def check(self, genome: Mapping[str, np.ndarray]) -> None:
        super().check(genome)
        positions = {name: of.positions for name, of in self._of.items()}
        spans = {name: np.stack((sites, sites + 1), axis=1) for name, sites in positions.items()}
        check_within(spans, _sizes(genome), self.path)
        check_cpg_share(*_cpgs_and_sites(positions, genome), self.path)

    def centres(self, name: str, codes: np.ndarray) -> np.ndarray:
        if name not in self._of:
            return np.zeros(0, np.int64)
        positions = self._of[name].positions
        return positions[at_cpgs(positions, codes)]

    def targets(self, name: str, codes: np.ndarray, centres: np.ndarray) -> np.ndarray:
        of = self._of.get(name)
        if of is None:
            return self.nothing(centres)
        shares = np.full(len(centres), np.nan, np.float32)
        row, is_there = _rows_of(centres, of.positions)
        shares[is_there] = of.percent[row[is_there]] / 100
        if self.dtype is np.float32:
            return shares[:, None]
        states = methylation_states(shares)
        return np.where(np.isnan(states), UNKNOWN, states).astype(np.uint8)[:, None]


class Windows(LabelSource):
    """A table of windows: each tells of the window around its middle, whatever its length.

    Of methylation, it tells of the CpG in its middle, which begins at the middle or, where both
    its bases are centred, a base before it: `check` tells which.
    """

    def __init__(self, path: Path, rules: LabelRules) -> None:
        self.path = path
        table = read_windows(path)
        self._of: dict[str, LabelledWindows] = {
            name: _sorted(windows) for name, windows in table.of.items()
        }
        self.labels = tuple(TrackLabel(rules.task_of(name, path), name) for name in table.names)
        self.names, self.notes = tuple(self._of), table.notes
        self._middles = {name: _middles(windows) for name, windows in self._of.items()}
        is_methylation = all(label.task == "methylation" for label in self.labels)
        self.sites = "cpg" if is_methylation else "windows"

    def check(self, genome: Mapping[str, np.ndarray]) -> None:
        super().check(genome)
        spans = {name: of.spans for name, of in self._of.items()}
        check_within(spans, _sizes(genome), self.path)
        if self.sites == "cpg":
            before = {name: middles - 1 for name, middles in self._middles.items()}
            choices = [self._middles, before]
            counts = [_cpgs_and_sites(positions, genome) for positions in choices]
            check_cpg_share(*max(counts), self.path)
            self._middles = choices[counts.index(max(counts))]

    def centres(self, name: str, codes: np.ndarray) -> np.ndarray:
        if name not in self._of:
            return np.zeros(0, np.int64)
        middles = self._middles[name]
        return middles[at_cpgs(middles, codes)] if self.sites == "cpg" else middles

    def targets(self, name: str, codes: np.ndarray, centres: np.ndarray) -> np.ndarray:
        targets, of = self.nothing(centres), self._of.get(name)
        if of is not None:
            row, is_there = _rows_of(centres, self._middles[name])
            found = of.labels[row[is_there]]
            targets[is_there] = np.where(found == NOT_KNOWN, UNKNOWN, found).astype(np.uint8)
        return targets


def open_source(path: Path, rules: LabelRules) -> LabelSource:
    """The source that a label file is, told by its content.

    Raises:
        InputFormatError: the file is missing or damaged.
    """
    return _SOURCES[label_kind(path)](path, rules)


_SOURCES: dict[LabelKind, Callable[[Path, LabelRules], LabelSource]] = {
    LabelKind.PEAKS: Peaks,
    LabelKind.QUANTITY: Signal,
    LabelKind.METHYLATION: MethylatedSites,
    LabelKind.WINDOWS: Windows,
}


def positions_of(
    sources: Iterable[LabelSource], name: str, codes: np.ndarray, window: int
) -> np.ndarray:
    """Positions (n,) ascending that the sources label on a sequence: a grid, or their own."""
    own = [source.centres(name, codes) for source in sources if source.sites]
    return np.unique(np.concatenate(own)) if own else grid_centres(codes, window)


def targets_of(
    sources: Sequence[LabelSource], name: str, codes: np.ndarray, centres: np.ndarray
) -> np.ndarray:
    """Targets (n, K) of all sources' labels: bytes if all of them are, else float32."""
    parts = [source.targets(name, codes, centres) for source in sources]
    if all(part.dtype == np.uint8 for part in parts):
        return np.concatenate(parts, axis=1)
    return np.concatenate([_floats(part) for part in parts], axis=1)


def sites_of(sources: Sequence[LabelSource]) -> str | None:
    """The `sites` that all sources share.

    Raises:
        DataError: they do not; one model has one kind of position.
    """
    kinds = {source.sites for source in sources}
    if len(kinds) > 1:
        raise DataError(
            "some label files hold intervals or signals, others have positions of their own "
            "(CpGs or windows).",
            remedy="Train a model of each kind.",
        )
    return kinds.pop()


def _floats(targets: np.ndarray) -> np.ndarray:
    if targets.dtype != np.uint8:
        return targets
    return np.where(targets == UNKNOWN, np.nan, targets).astype(np.float32)


def _sizes(genome: Mapping[str, np.ndarray]) -> dict[str, int]:
    return {name: len(codes) for name, codes in genome.items()}


def _cpgs_and_sites(
    positions: Mapping[str, np.ndarray], genome: Mapping[str, np.ndarray]
) -> tuple[int, int]:
    """How many positions (n,) on sequences of the genome are CpGs, and how many there are."""
    is_cpg = [at_cpgs(positions[name], genome[name]) for name in positions if name in genome]
    return sum(int(each.sum()) for each in is_cpg), sum(map(len, is_cpg))


def _middles(windows: LabelledWindows) -> np.ndarray:
    return windows.spans.sum(axis=1) // 2


def _sorted(windows: LabelledWindows) -> LabelledWindows:
    """Windows by their middles, one of each; unknown where several of one middle disagree."""
    middles = _middles(windows)
    _, first, size = np.unique(middles, return_index=True, return_counts=True)
    labels = windows.labels[np.argsort(middles, kind="stable")]
    begin = np.cumsum(size) - size
    no, yes = (np.logical_or.reduceat(labels == value, begin) for value in (0, 1))
    agreed = np.where(yes == no, NOT_KNOWN, yes).astype(labels.dtype)
    return LabelledWindows(windows.spans[first], agreed)


def _rows_of(centres: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each centre (n,) its row in ascending positions, and whether it is there."""
    row = np.searchsorted(positions, centres)
    return row, np.append(positions, -1)[row] == centres
