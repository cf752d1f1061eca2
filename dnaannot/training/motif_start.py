"""Where the motifs of a track model start: from what stands at the middles of its peaks.

Most windows of a peak hold its motif somewhere off their middle or not at all, and most stretches
hold no peak. So motifs begin with the words that are most enriched at the middles of runs of
positive windows, and are then learned alone from short pieces: half of them there, a quarter
beside those, a quarter anywhere. Some hundred steps find what takes the whole model very many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnaannot.datasets.tracks import TrackRegion, is_known, is_positive
from dnaannot.dna.enriched_words import distinct_words, word_scores
from dnaannot.dna.sequence import C, G, N, runs
from dnaannot.nn.motifs import MOTIF_WIDTH, MotifScores
from dnaannot.training.trainer import MicroLoss, Schedule, Trainer

MOTIF_STEPS, PIECE, BATCH = 300, 256, 256
_PART = 64
"""Pieces of a batch that are computed at once."""
_RATE, _WARMUP = 5e-3, 10
_WORTH = 4.0
"""How much faster what a fit is worth is learned than what fits."""
_JITTER = 32
_BESIDE = (400, 2000)
_NARROW = 800
"""Bases between the first and the last position of half of a label's peaks, at most: wider ones
are not about a site."""
_WORD, _MIDDLE, _AWAY = 8, 150, 600
"""Bases of a word, of the middle of a peak, and from there to what a word is expected by."""
_LEAST_SCORE, _MOST_WORDS, _LITTLE = 6.0, 400, 0.1
_FIT, _MISFIT, _THRESHOLD = 0.75, -0.25, 4.5


@dataclass(frozen=True)
class PeakMiddles:
    """Where the peaks of labels are, of those labels whose peaks are narrow.

    Attributes:
        regions: each with some positions.
        columns: of the K labels in the targets.
        middles: of each label's peaks, as (region, row) (n, 2).
    """

    regions: Sequence[TrackRegion]
    columns: Sequence[int]
    middles: Sequence[np.ndarray]

    @classmethod
    def of(cls, regions: Sequence[TrackRegion], columns: Sequence[int]) -> PeakMiddles:
        """The narrow peaks of binary labels, given by column, on a dense grid of positions."""
        regions = [each for each in regions if each.rows.stop > each.rows.start]
        found = {column: _peaks(regions, column) for column in columns}
        narrow = {
            column: peaks[:, :2]
            for column, peaks in found.items()
            if len(peaks) and np.median(peaks[:, 2]) <= _NARROW
        }
        return cls(regions, list(narrow), list(narrow.values()))

    def __bool__(self) -> bool:
        return bool(self.columns)

    def around(self, places: np.ndarray, away: int) -> np.ndarray:
        """Codes (n, _MIDDLE) around the positions so many bases after rows, as (region, row)."""
        parts = []
        for number, region in enumerate(self.regions):
            rows = places[places[:, 0] == number, 1] + region.rows.start
            starts = region.sequence.centres[rows] + away - _MIDDLE // 2
            parts.append(_pieces(region.sequence.codes, starts, _MIDDLE))
        return np.concatenate(parts)

    def batch(self, seed: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Codes (BATCH, PIECE) of pieces, and targets (BATCH, K) of their middles."""
        random, half, quarter = np.random.default_rng((seed, step)), BATCH // 2, BATCH // 4
        labels = random.integers(len(self.middles), size=half)
        places = [self.middles[k][random.integers(len(self.middles[k]))] for k in labels]
        places += [self._beside(places[n], random) for n in random.integers(half, size=quarter)]
        sizes = np.array([each.rows.stop - each.rows.start for each in self.regions])
        chosen = random.choice(len(sizes), size=quarter, p=sizes / sizes.sum())
        places += [np.array((n, random.integers(sizes[n]))) for n in chosen]
        parts = [self._piece(number, row, random) for number, row in places]
        codes, targets = zip(*parts, strict=True)
        return np.concatenate(codes), np.stack(targets)

    def _beside(self, place: np.ndarray, random: np.random.Generator) -> np.ndarray:
        number, row = place
        rows = self.regions[number].sequence.centres[self.regions[number].rows]
        away = random.integers(*_BESIDE) * random.choice((-1, 1))
        return np.array((number, min(np.searchsorted(rows, rows[row] + away), len(rows) - 1)))

    def _piece(
        self, number: int, row: int, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        region = self.regions[number]
        row += region.rows.start
        start = region.sequence.centres[row] - PIECE // 2
        start += random.integers(-_JITTER, _JITTER + 1)
        codes = _pieces(region.sequence.codes, np.array([start]), PIECE)
        return codes, region.sequence.targets[row, self.columns]


def learn_motifs(
    motifs: MotifScores, peaks: PeakMiddles, steps: int, seed: int, threads: int = 1
) -> None:
    """Give motifs weights that tell the middles of peaks; what their fits are worth stays.

    Args:
        peaks: of a label or more.
        steps: of `BATCH` pieces of `PIECE` bases, 1 or more.
        seed: of the order.
        threads: that compute; their number changes nothing.
    """
    begin_with(enriched(peaks), motifs)
    scorer = _PieceScorer(motifs, len(peaks.columns))
    Trainer(
        scorer,
        partial(_losses, peaks, seed),
        validate=lambda _: {"score": 0.0},
        save_best=lambda _: None,
        schedule=Schedule(steps, _RATE, warmup=min(_WARMUP, steps), validate_every=steps),
        workers=threads,
    ).run()
    motifs.zero_grad()


def renew_motifs(
    motifs: MotifScores, peaks: PeakMiddles, steps: int, seed: int, threads: int = 1
) -> int:
    """Learn motifs anew that count for little; arguments as `learn_motifs`.

    Returns:
        How many: those whose best site adds no more than a tenth of what the weightiest one's
        adds, to any label; they are worth nothing from now on.
    """
    fresh = MotifScores(1, motifs.stride, motifs.scan.out_channels)
    learn_motifs(fresh, peaks, steps, seed, threads)
    worth = (motifs.of_best.weight.abs().amax(0) * motifs.fits_of_best_sites()).detach()
    idle = torch.nonzero(worth <= _LITTLE * worth.max()).squeeze(1)
    with torch.no_grad():
        for old, new in zip(motifs.scan.parameters(), fresh.scan.parameters(), strict=True):
            old[idle] = new[: len(idle)]
        motifs.of_best.weight[:, idle] = 0
    return len(idle)


def enriched(peaks: PeakMiddles) -> list[np.ndarray]:
    """Bases (_WORD,) of distinct words that stand at the middles of a label's peaks; best first."""
    best: dict[int, float] = {}
    for middles in peaks.middles:
        inside = peaks.around(middles, 0)
        beside = np.concatenate([peaks.around(middles, by) for by in (-_AWAY, _AWAY)])
        scores = word_scores(inside, beside, _WORD)
        for number in np.argsort(-scores, kind="stable")[:_MOST_WORDS].tolist():
            if scores[number] > _LEAST_SCORE:
                best[number] = max(float(scores[number]), best.get(number, 0.0))
    ranked = sorted(best, key=lambda number: (-best[number], number))
    return list(distinct_words(np.array(ranked, np.int64), _WORD))


def begin_with(words: Sequence[np.ndarray], motifs: MotifScores) -> None:
    """Make each word the middle of one motif, as far as both reach."""
    first = (MOTIF_WIDTH - _WORD) // 2
    assert motifs.scan.bias is not None
    with torch.no_grad():
        for weight, word in zip(motifs.scan.weight, words, strict=False):
            weight[:, first : first + _WORD] = _MISFIT
            weight[torch.from_numpy(word), torch.arange(first, first + _WORD)] = _FIT
        motifs.scan.bias[: len(words)] = -_THRESHOLD


class _PieceScorer(nn.Module):
    """Logits (B, K) of pieces: the best fit of each motif, and the share of G and C."""

    def __init__(self, motifs: MotifScores, labels: int) -> None:
        super().__init__()
        self.scan = motifs.scan
        self._fits = motifs.forward
        self.of_best = nn.Linear(motifs.scan.out_channels, labels, bias=False)
        self.of_gc = nn.Linear(2, labels)
        nn.init.zeros_(self.of_best.weight)

    def forward(self, codes: np.ndarray) -> Tensor:
        gc = torch.from_numpy(((codes == G) | (codes == C)).mean(1, dtype=np.float32))
        best = self._fits(torch.from_numpy(codes), None).amax(1)
        return _WORTH * (self.of_best(best) + self.of_gc(torch.stack((gc, gc * gc), 1)))


def _losses(peaks: PeakMiddles, seed: int, scorer: _PieceScorer, step: int) -> list[MicroLoss]:
    codes, targets = peaks.batch(seed, step)
    share = len(codes) / max(1, int(is_known(targets).sum()))
    return [
        partial(_loss, scorer, codes[k : k + _PART], targets[k : k + _PART], share)
        for k in range(0, len(codes), _PART)
    ]


def _loss(scorer: _PieceScorer, codes: np.ndarray, targets: np.ndarray, share: float) -> Tensor:
    """Cross-entropy of a part of a batch: the mean of those of all parts is that of the batch."""
    known = torch.from_numpy(is_known(targets))
    wanted = torch.where(known, torch.from_numpy(targets).float(), 0.0)
    losses = F.binary_cross_entropy_with_logits(scorer(codes), wanted, reduction="none")
    return (losses * known).sum() * (share / len(codes))


def _peaks(regions: Sequence[TrackRegion], column: int) -> np.ndarray:
    """Region, middle row and width in bases (n, 3) of the runs of positives of a label."""
    parts = [np.empty((0, 3), np.int64)]
    for number, region in enumerate(regions):
        centres = region.sequence.centres[region.rows]
        positive = is_positive(region.sequence.targets[region.rows, column])
        first, end = runs(positive).T
        widths = centres[end - 1] - centres[first]
        middles = (first + end - 1) // 2
        parts.append(np.stack((np.full(len(first), number), middles, widths), 1))
    return np.concatenate(parts)


def _pieces(codes: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Codes (n, length) of a sequence from starts (n,) on; N beyond its ends, and for GAP."""
    bases = starts[:, None] + np.arange(length)
    is_inside = (bases >= 0) & (bases < len(codes))
    found = np.minimum(codes[bases.clip(0, len(codes) - 1)], N)
    return np.where(is_inside, found, N).astype(np.uint8)
