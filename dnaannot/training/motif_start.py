"""Where the motifs of a track model start: from what stands at the middles of its peaks.

Most windows of a peak hold its motif somewhere off their middle or not at all, and most stretches
hold no peak. So motifs are first learned alone from short pieces: half of them at the middles of
runs of positive windows, a quarter beside those, a quarter anywhere. Some hundred steps find what
takes the whole model very many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnaannot.datasets.tracks import TrackRegion, is_known, is_positive
from dnaannot.dna.sequence import C, G, N, runs
from dnaannot.nn.motifs import MotifScores

MOTIF_STEPS, PIECE, BATCH, RATE = 300, 256, 256, 5e-3
_JITTER = 32
_BESIDE = (400, 2000)
_NARROW = 800
"""Bases between the first and the last position of half of a label's peaks, at most: wider ones
are not about a site."""


def learn_motifs(
    motifs: MotifScores,
    regions: Sequence[TrackRegion],
    columns: Sequence[int],
    steps: int,
    seed: int,
) -> int:
    """Give motifs weights that tell the middles of peaks; what their fits are worth stays.

    Args:
        regions: to train on, labelled on a grid.
        columns: of the targets, binary labels.
        steps: of `BATCH` pieces of `PIECE` bases.
        seed: of the order.

    Returns:
        Of how many labels the peaks are narrow enough to learn from; where there are none, or
        no steps, the motifs stay as they are.
    """
    if steps < 1:
        return 0
    pieces = _Pieces(regions, columns, seed)
    labels = len(pieces.middles)
    if not labels:
        return 0
    scorer = _PieceScorer(motifs, labels)
    optimizer = torch.optim.Adam(scorer.parameters(), lr=RATE)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / steps)
        codes, targets = pieces.batch()
        known = torch.from_numpy(is_known(targets))
        wanted = torch.where(known, torch.from_numpy(targets).float(), 0.0)
        losses = F.binary_cross_entropy_with_logits(scorer(codes), wanted, reduction="none")
        optimizer.zero_grad()
        ((losses * known).sum() / known.sum().clamp(min=1)).backward()
        optimizer.step()
    motifs.zero_grad()
    return labels


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
        return self.of_best(best) + self.of_gc(torch.stack((gc, gc * gc), 1))


class _Pieces:
    """Pieces around rows of regions, and the targets there of labels whose peaks are narrow.

    Attributes:
        middles: of each such label's peaks, as (region, row) (n, 2).
    """

    def __init__(self, regions: Sequence[TrackRegion], columns: Sequence[int], seed: int) -> None:
        self._regions = [each for each in regions if each.rows.stop > each.rows.start]
        self._random = np.random.default_rng(seed)
        self._sizes = np.array([r.rows.stop - r.rows.start for r in self._regions])
        found = {column: self._peaks(column) for column in columns}
        self._columns = [
            column
            for column, peaks in found.items()
            if len(peaks) and np.median(peaks[:, 2]) <= _NARROW
        ]
        self.middles = [found[column][:, :2] for column in self._columns]

    def _peaks(self, column: int) -> np.ndarray:
        """Region, middle row and width in bases (n, 3) of the runs of positives of a label."""
        parts = [np.empty((0, 3), np.int64)]
        for number, region in enumerate(self._regions):
            centres = region.sequence.centres[region.rows]
            positive = is_positive(region.sequence.targets[region.rows, column])
            first, end = runs(positive).T
            widths = centres[end - 1] - centres[first]
            middles = (first + end - 1) // 2
            parts.append(np.stack((np.full(len(first), number), middles, widths), 1))
        return np.concatenate(parts)

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes (B, PIECE) and targets (B, K)."""
        random, half, quarter = self._random, BATCH // 2, BATCH // 4
        labels = random.integers(len(self.middles), size=half)
        places = [self.middles[k][random.integers(len(self.middles[k]))] for k in labels]
        places += [self._beside(*places[n]) for n in random.integers(half, size=quarter)]
        chosen = random.choice(len(self._sizes), size=quarter, p=self._sizes / self._sizes.sum())
        places += [np.array((n, random.integers(self._sizes[n]))) for n in chosen]
        parts = [self._piece(number, row) for number, row in places]
        codes, targets = zip(*parts, strict=True)
        return np.stack(codes), np.stack(targets)

    def _beside(self, number: int, row: int) -> np.ndarray:
        rows = self._regions[number].sequence.centres[self._regions[number].rows]
        away = self._random.integers(*_BESIDE) * self._random.choice((-1, 1))
        return np.array((number, min(np.searchsorted(rows, rows[row] + away), len(rows) - 1)))

    def _piece(self, number: int, row: int) -> tuple[np.ndarray, np.ndarray]:
        region = self._regions[number]
        row += region.rows.start
        sequence = region.sequence
        start = int(sequence.centres[row]) - PIECE // 2
        start += int(self._random.integers(-_JITTER, _JITTER + 1))
        codes = np.full(PIECE, N, np.uint8)
        low, high = max(0, start), min(start + PIECE, len(sequence.codes))
        codes[low - start : high - start] = np.minimum(sequence.codes[low:high], N)
        return codes, sequence.targets[row, self._columns]
