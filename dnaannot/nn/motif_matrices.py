"""What the motifs of a track model look like and count for, for people and other programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dnaannot.dna.sequence import N
from dnaannot.nn.motifs import MotifScores
from dnaannot.nn.tracks import TrackModel

NEAR_BEST = 0.75
"""Where, from the mean fit of random bases (0) to the best fit (1), sites are that a matrix is of.

At half way, as for Basset's filters, a motif of 19 bases is blurred; near 1 it is one word."""
_WINDOWS, _SEED = 200, 1
_HALVINGS = 60
_CODES = {
    frozenset("A"): "A", frozenset("C"): "C", frozenset("G"): "G", frozenset("T"): "T",
    frozenset("AC"): "M", frozenset("AG"): "R", frozenset("AT"): "W", frozenset("CG"): "S",
    frozenset("CT"): "Y", frozenset("GT"): "K",
}  # fmt: skip


@dataclass(frozen=True)
class Motif:
    """One motif of a model.

    Attributes:
        name: of the motif in the model, from 1 on.
        frequencies: (W, 4) of A, C, G and T in sites that fit well.
        label: that it counts for most.
        gain: what the best fit there is adds to that label's logit (or to the log1p of a
            quantity), beyond the best one in a window of random bases.
    """

    name: str
    frequencies: np.ndarray
    label: str
    gain: float

    @property
    def bits(self) -> float:
        """Information of the matrix, against bases that are equally frequent."""
        return float((np.log2(np.maximum(self.frequencies, 1e-12)) * self.frequencies).sum()) + (
            2.0 * len(self.frequencies)
        )

    @property
    def consensus(self) -> str:
        """A letter of IUPAC for one base or two at each place, N for none."""
        return "".join(map(_letter, self.frequencies))


def motifs_of(model: TrackModel) -> list[Motif]:
    """The motifs of a model, the weightiest first; none of a model that looks for none."""
    if model.motifs is None:
        return []
    matrices, gains = matrices_of(model.motifs), gains_of(model.motifs, model.window)
    label = np.abs(gains).argmax(0)
    found = [
        Motif(str(m + 1), matrices[m], model.tracks[label[m]].name, float(gains[label[m], m]))
        for m in range(len(matrices))
    ]
    return sorted(found, key=lambda motif: -abs(motif.gain))


def matrices_of(motifs: MotifScores) -> np.ndarray:
    """Frequencies (M, W, 4) of bases in sites that fit each motif well.

    Among all sequences of W bases those whose mean fit is `NEAR_BEST` and which are otherwise as
    random as can be: each base has a frequency in proportion to exp(t * weight), one t a motif.
    """
    weights = motifs.scan.weight.detach().double().numpy().transpose(0, 2, 1)
    best, mean = weights.max(2).sum(1), weights.mean(2).sum(1)
    wanted = mean + NEAR_BEST * (best - mean)
    low, high = np.zeros(len(weights)), np.full(len(weights), 1e3)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_short = (_tilted(weights, middle) * weights).sum((1, 2)) < wanted
        low, high = np.where(is_short, middle, low), np.where(is_short, high, middle)
    return _tilted(weights, high)


def gains_of(motifs: MotifScores, window: int) -> np.ndarray:
    """Logits (K, M) that the best fit adds, beyond the best one in a window of random bases."""
    codes = np.random.default_rng(_SEED).integers(0, N, (_WINDOWS, window)).astype(np.uint8)
    with torch.no_grad():
        best = motifs.fits_of_best_sites()
        rows = [motifs(torch.from_numpy(row[None]), None).amax(1) for row in codes]
        usual = torch.cat(rows).mean(0)
        return (motifs.of_best.weight * (best - usual)).double().numpy()


def _tilted(weights: np.ndarray, by: np.ndarray) -> np.ndarray:
    shares = np.exp(by[:, None, None] * (weights - weights.max(2, keepdims=True)))
    return shares / shares.sum(2, keepdims=True)


def _letter(frequencies: np.ndarray) -> str:
    order = np.argsort(-frequencies, kind="stable")
    first, second = frequencies[order[:2]]
    if first >= 0.5 and first >= 2 * second:
        return "ACGT"[order[0]]
    return _CODES[frozenset("ACGT"[k] for k in order[:2])] if first + second > 0.75 else "N"
