"""Genomic signatures of what is trained on, as the cards of models hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dnaannot.dna.signature import signature, signature_spread
from dnaannot.predict.samples import SIGNED_PIECES, sample
from dnaannot.training.splits import unlike


@dataclass
class Signatures:
    """Signatures (80,) and their spreads, by genome file; a spread may be missing."""

    signatures: dict[str, list[float]] = field(default_factory=dict)
    signature_spreads: dict[str, float] = field(default_factory=dict)

    def add(self, genome: Path, stretches: Sequence[np.ndarray]) -> None:
        """Sign a genome by a sample of the stretches (L_i,) of it that are trained on."""
        pieces = sample(stretches, SIGNED_PIECES)
        if not pieces:
            return
        name = unlike(genome, self.signatures)
        self.signatures[name] = signature(pieces).round(3).tolist()
        if (spread := signature_spread(pieces)) is not None:
            self.signature_spreads[name] = round(spread, 3)
