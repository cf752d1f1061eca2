"""How near a genome is to those that models were trained on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dnaannot.catalog import Entry
from dnaannot.dna.signature import signature, signature_distance

FAR = 2.0
"""A genome is far from another at so many times the spread of the other's own stretches.

Measured with samples of 2 Mb against what `human_tracks` and `yeast_histone` were trained on, whose
spreads are 0.40 to 0.43 and 0.15. Distances in spreads: from human chr16 and chr19, chr21 and chr22
0.4 and less, mouse chr17 1.1, *Arabidopsis* 2.7, yeast 3.0, fly and *Aspergillus* 3.3; from yeast,
*Aspergillus* 2.2, *Arabidopsis* 2.4, fly 4.1, human chr19 8.0.
"""
FAR_BASES = 500_000
"""A genome of fewer bases is too short to be called far: of 50-kb stretches of human chr22 one in
eleven would be far from human."""


@dataclass(frozen=True)
class Choice:
    """A model and how near its training genomes are to a sample of a genome.

    Attributes:
        entry: the model.
        distance: between the signatures of the sample and of the nearest genome that the model
            was trained on; infinite where the card tells none.
        is_far: whether the sample is far from all of these, as far as the card tells.
    """

    entry: Entry
    distance: float
    is_far: bool = False


def nearest(entries: Sequence[Entry], pieces: Iterable[np.ndarray]) -> list[Choice]:
    """Models for a genome, the nearest first; ties go to the first of `entries`.

    Args:
        pieces: (L_i,) codes of stretches of the genome.
    """
    own = signature(pieces)
    return sorted((_choice(each, own) for each in entries), key=lambda choice: choice.distance)


def _choice(entry: Entry, own: np.ndarray) -> Choice:
    spreads = entry.card.get("signature_spreads", {})
    distances = {
        genome: signature_distance(own, each)
        for genome, each in entry.card.get("signatures", {}).items()
    }
    is_far = all(far > FAR * spreads.get(genome, math.inf) for genome, far in distances.items())
    nearest_one = min(distances.values(), default=math.inf)
    return Choice(entry, nearest_one, bool(distances) and is_far)
