"""Predicted tracks beside measured labels: ranking, calibration and correlation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from dnaannot.dna.interval import covered_bases
from dnaannot.dna.names import counted
from dnaannot.errors import DataError
from dnaannot.evaluate.intervals import Regions
from dnaannot.evaluate.ranking import Calibration, Ranking, calibrate, pearson, spearman
from dnaannot.evaluate.track_inputs import METHYLATION, Pair, Predicted, SequenceFacts
from dnaannot.evaluate.track_points import Points, TrackRules, measured_points
from dnaannot.formats.bigwig_reader import BigWig
from dnaannot.formats.label_checks import check_names, check_sizes
from dnaannot.formats.label_files import LabelKind

DENSITY_BINS = (0, 10, 20, 40, 1 << 30)
"""Upper bounds, inclusive, of the CpGs in the window around a CpG; the first is no bin."""
DENSITY_WINDOW = 512
DENSITY_NAMES = ("1-10", "11-20", "21-40", "> 40")
_KNOWN_SHARE = 0.5
_FEW = 30
"""Of fewer positives an AUROC of 0.8 has a 95 % interval of 0.1 to each side (Hanley 1982)."""


class DensityScore(NamedTuple):
    """A methylation track at CpGs with so many CpGs around."""

    cpgs: str
    sites: int
    positives: int
    auroc: float
    auprc: float


@dataclass(frozen=True)
class LabelScore:
    """One track beside what was measured.

    Attributes:
        label, task: of the track.
        sites: windows or CpGs with a prediction and a label.
        amounts: sites with a prediction and a quantity, which `pearson` and `spearman` are over,
            whether they have a label or not; 0 where there are none.
        ranking: None where the label is a quantity.
        calibration: None where values are no probabilities.
        by_density: of a methylation track, where the genome is given.
        pearson, spearman: of a quantity (Pearson on log1p for a signal), NaN elsewhere.
    """

    label: str
    task: str
    sites: int
    amounts: int = 0
    ranking: Ranking | None = None
    calibration: Calibration | None = None
    by_density: tuple[DensityScore, ...] = ()
    pearson: float = math.nan
    spearman: float = math.nan

    @property
    def ece(self) -> float:
        """Expected calibration error, NaN without a calibration."""
        return self.calibration.error if self.calibration else math.nan


class Mean(NamedTuple):
    """Unweighted means over the labels of a task, as BEND counts them."""

    task: str
    labels: int
    base_rate: float
    auroc: float
    auprc: float
    ece: float


class _Compared(NamedTuple):
    """Sites of all sequences with a prediction, (n,) each; density -1 where not known."""

    values: np.ndarray
    labels: np.ndarray
    amounts: np.ndarray
    density: np.ndarray


def score_tracks(
    pairs: Iterable[Pair],
    rules: TrackRules | None = None,
    genome: Mapping[str, SequenceFacts] | None = None,
    regions: Regions | None = None,
    on_pair: Callable[[int], None] = lambda done: None,
) -> tuple[list[LabelScore], list[str]]:
    """Score each pair.

    Peaks and signals are compared in windows of `rules.window` bases on a grid from base 0 on,
    on the sequences that the label file names; methylation at CpGs; a table in its windows.
    With a genome, windows that are N for the most part are left out, and so are sites that are
    no CG. Of regions, only windows that lie in one as a whole count.

    Returns:
        The scores in the order of the pairs, and notes for the user. Tracks of several models are
        named with these, and have means of their own.

    Raises:
        InputFormatError: a file is not what it should be.
        DataError: a file does not belong to the others; nothing can be compared; no label has
            a positive.
    """
    rules, pairs = rules or TrackRules(), list(pairs)
    several = len({pair.predicted.model for pair in pairs}) > 1
    scores: list[LabelScore] = []
    notes: list[str] = []
    for done, pair in enumerate(pairs, 1):
        score = _score(pair, rules, genome, regions, notes)
        scores.append(_named_with(pair.predicted.model, score) if several else score)
        on_pair(done)
    if not any(each.ranking is None or each.ranking.positives for each in scores):
        raise DataError(
            "No label has a positive where it is compared.",
            remedy="Compare more of the genome, or look at the label files.",
        )
    return scores, list(dict.fromkeys(notes))


def _named_with(model: str, score: LabelScore) -> LabelScore:
    """The score of one of several models, which its label and task tell."""
    by = f" by {model or 'another model'}"
    return replace(score, label=score.label + by, task=score.task + by)


def means(scores: Sequence[LabelScore]) -> list[Mean]:
    """The mean of each task over its labels with positives and negatives."""
    found: list[Mean] = []
    for task in dict.fromkeys(each.task for each in scores):
        ranked = [
            (each.ranking.base_rate, each.ranking.auroc, each.ranking.auprc, each.ece)
            for each in scores
            if each.task == task and each.ranking and not math.isnan(each.ranking.auroc)
        ]
        if ranked:
            found.append(Mean(task, len(ranked), *np.mean(ranked, axis=0).tolist()))
    return found


def _score(
    pair: Pair,
    rules: TrackRules,
    genome: Mapping[str, SequenceFacts] | None,
    regions: Regions | None,
    notes: list[str],
) -> LabelScore:
    track, kind = pair.predicted, pair.measured.kind
    with BigWig(track.path) as values:
        sizes = values.sizes
        if genome is not None:
            lengths = {name: facts.length for name, facts in genome.items()}
            check_names(sizes, lengths, track.path)
            check_sizes(sizes, lengths, track.path)
            sizes = {name: length for name, length in sizes.items() if name in lengths}
        found = [
            _compare(values, pair, name, points, genome, regions)
            for name, points in measured_points(pair, sizes, rules, genome)
        ]
    if not found:
        raise DataError(
            f"{pair.measured.path} has no value on any sequence of '{track.label}'.",
            path=track.path,
            remedy="Check that both are about the same assembly.",
        )
    everything = _Compared(*(np.concatenate(column) for column in zip(*found, strict=True)))
    has_value = ~np.isnan(everything.values)
    if not has_value.any():
        raise DataError(
            f"'{track.label}' has no value at any site of {pair.measured.path}"
            + (" inside the regions." if regions is not None else "."),
            path=track.path,
            remedy="Predict the sequences, and the regions, that the labels are of.",
        )
    absent = int((~has_value).sum())
    if absent:
        notes.append(f"{track.label}: left out {absent:,} sites without a prediction.")
    kept = _Compared(*(column[has_value] for column in everything))
    if kind is LabelKind.QUANTITY:
        return _quantity(track, kept)
    return _ranked(track, kept, notes)


def _quantity(track: Predicted, compared: _Compared) -> LabelScore:
    ours, theirs = compared.values, compared.amounts
    logs = (np.log1p(np.maximum(each, 0)) for each in (ours, theirs))
    return LabelScore(
        track.label,
        track.task,
        len(ours),
        len(ours),
        pearson=pearson(*logs),
        spearman=spearman(ours, theirs),
    )


def _ranked(track: Predicted, compared: _Compared, notes: list[str]) -> LabelScore:
    known = ~np.isnan(compared.labels)
    values, positive = compared.values[known], compared.labels[known] == 1
    ranking = Ranking.of(values, positive)
    counts = ((ranking.positives, "positive"), (ranking.negatives, "negative"))
    fewest, what = min(counts, key=lambda count: count[0])
    if not fewest:
        notes.append(f"{track.label}: no {what} where it is compared; not in the mean.")
    elif fewest < _FEW:
        notes.append(
            f"{track.label}: only {counted(fewest, what)} where it is compared; chance "
            "alone moves its AUROC by 0.1 and its AUPRC by more. Compare more of the genome."
        )
    correlations = (math.nan, math.nan)
    if not np.isnan(compared.amounts).any():
        columns = compared.values, compared.amounts
        correlations = pearson(*columns), spearman(*columns)
    return LabelScore(
        track.label,
        track.task,
        int(known.sum()),
        0 if math.isnan(correlations[0]) else len(known),
        ranking,
        _calibration(track, values, positive),
        tuple(_by_density(values, positive, compared.density[known])),
        *correlations,
    )


def _calibration(track: Predicted, values: np.ndarray, positive: np.ndarray) -> Calibration | None:
    scaled = values / 100 if track.unit == "percent" else values
    is_probability = track.unit in ("probability", "percent", "") and len(values)
    if not is_probability or scaled.min() < 0 or scaled.max() > 1:
        return None
    return calibrate(scaled, positive)


def _by_density(
    values: np.ndarray, positive: np.ndarray, density: np.ndarray
) -> Iterator[DensityScore]:
    if not len(density) or density.min() < 0:
        return
    for name, low, high in zip(DENSITY_NAMES, DENSITY_BINS[:-1], DENSITY_BINS[1:], strict=True):
        inside = (density > low) & (density <= high)
        part = Ranking.of(values[inside], positive[inside])
        yield DensityScore(name, int(inside.sum()), part.positives, part.auroc, part.auprc)


def _compare(
    values: BigWig,
    pair: Pair,
    name: str,
    points: Points,
    genome: Mapping[str, SequenceFacts] | None,
    regions: Regions | None,
) -> _Compared:
    """The sites of one sequence that count, with the track's value at each."""
    track, kind = pair.predicted, pair.measured.kind
    kept = np.ones(len(points.spans), bool)
    starts, ends = points.spans.T
    facts = genome[name] if genome is not None else None
    if facts is not None:
        unknown = covered_bases(facts.unknown, starts, ends)
        kept &= unknown <= (1 - _KNOWN_SHARE) * (ends - starts)
    if regions is not None:
        kept &= regions.hold_each(name, points.spans)
    starts, ends = starts[kept], ends[kept]
    middles = (starts + ends) // 2
    is_methylation = track.task == METHYLATION or kind is LabelKind.METHYLATION
    if is_methylation and facts is not None:
        middles = _within_cpgs(middles, facts.cpgs)
    if track.is_centred:
        found = values.window_means(name, np.maximum(middles - 1, 0), middles + 1)
    else:
        found = values.window_means(name, starts, ends)
    density = np.full(len(starts), -1)
    if is_methylation and facts is not None:
        around = np.add.outer((-DENSITY_WINDOW // 2, DENSITY_WINDOW // 2), middles)
        low, high = np.searchsorted(facts.cpgs, around)
        density = high - low
    return _Compared(found, points.labels[kept], points.amounts[kept], density)


def _within_cpgs(middles: np.ndarray, cpgs: np.ndarray) -> np.ndarray:
    """Middles (n,) of windows as the middles of CpGs: of some tables they are the Cs."""
    return middles + np.isin(middles, cpgs)


def to_json(scores: Sequence[LabelScore]) -> dict[str, Any]:
    """The scores as values of JSON; NaN is null."""
    return {
        "labels": [_label_json(each) for each in scores],
        "means": [_plain(mean._asdict()) for mean in means(scores)],
    }


def _label_json(score: LabelScore) -> dict[str, Any]:
    content: dict[str, Any] = {"label": score.label, "task": score.task, "sites": score.sites}
    ranking = score.ranking
    if ranking is not None:
        content |= {
            "positives": ranking.positives,
            "base_rate": ranking.base_rate,
            "auroc": ranking.auroc,
            "auprc": ranking.auprc,
            "ece": score.ece,
        }
    content |= {"pearson": score.pearson, "spearman": score.spearman}
    if score.calibration is not None:
        columns = {name: list(map(float, c)) for name, c in score.calibration._asdict().items()}
        content["calibration"] = {name: list(map(_number, c)) for name, c in columns.items()}
    if score.by_density:
        content["by_cpg_density"] = [_plain(each._asdict()) for each in score.by_density]
    return _plain(content)


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _number(value) for key, value in content.items()}


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
