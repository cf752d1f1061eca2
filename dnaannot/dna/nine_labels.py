"""The nine labels of BEND (Marin et al. 2024) as numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnaannot.dna import grammar
from dnaannot.dna.sequence import A, C, G, T

NINE_LABELS = (
    "cds+", "donor+", "intron+", "acceptor+", "cds-", "donor-", "intron-", "acceptor-", "other",
)  # fmt: skip
"""Their names; the stop codon is `other`."""
NINE = len(NINE_LABELS)
CDS, DONOR, INTRON, ACCEPTOR = range(4)
MINUS = 4
"""Plus-strand labels, and what is added on the minus strand."""
OTHER = 8
_NINE_OF = np.array(
    [NINE_LABELS.index(name if name in NINE_LABELS else f"cds{name[-1]}")
     if name != "intergenic" else OTHER for name in grammar.LABELS],
    np.uint8,
)  # fmt: skip
"""(17,) the nine labels of the gene grammar's, but for stop codons."""


def nine_of(labels: np.ndarray) -> np.ndarray:
    """The nine labels (B, L) of the gene grammar's (B, L); `UNKNOWN` stays."""
    known = labels != grammar.UNKNOWN
    nine = np.where(known, _NINE_OF[np.where(known, labels, 0)], grammar.UNKNOWN)
    for stop, direction in ((grammar.STOP, -1), (grammar.STOP + grammar.MINUS, 1)):
        rows, columns = np.nonzero(labels == stop)
        for step in range(3):
            at = columns + direction * step
            inside = (at >= 0) & (at < labels.shape[1])
            nine[rows[inside], at[inside]] = OTHER
    return nine.astype(np.uint8)


def reverse_complement_nine(labels: np.ndarray) -> np.ndarray:
    """Labels (L,) of the reverse complement."""
    return np.where(labels == OTHER, OTHER, (labels + MINUS) % 8)[::-1].astype(np.uint8)


class SpliceSupport(NamedTuple):
    """How many splice labels lie on splice sites.

    Attributes:
        sites: donor and acceptor labels whose two bases are in the sequence.
        fitting: those on GT, GC, AT (donor) or AG, AC (acceptor) of their strand.
    """

    sites: int
    fitting: int

    @property
    def share(self) -> float:
        """Fitting sites of all; 1 where there are none."""
        return self.fitting / self.sites if self.sites else 1.0


def splice_support(labels: np.ndarray, codes: np.ndarray, shift: int = 0) -> SpliceSupport:
    """Splice labels (L,) held against the bases (L,) beneath them.

    A donor label marks the first base of an intron (G of GT), an acceptor label its last (G of
    AG); on the minus strand the same, read from the other strand. By chance 3 in 16 donors and
    2 in 16 acceptors fit.

    Args:
        shift: look so many bases to the right of each label instead.
    """
    sites = fitting = 0
    for strand in (0, MINUS):
        donor_partner, acceptor_partner = (1, -1) if strand == 0 else (-1, 1)
        for label, partner, wanted in (
            (DONOR, donor_partner, ((G, T), (G, C), (A, T))),
            (ACCEPTOR, acceptor_partner, ((G, A), (C, A))),
        ):
            at = np.flatnonzero(labels == label + strand) + shift
            inside = (np.minimum(at, at + partner) >= 0) & (
                np.maximum(at, at + partner) < len(codes)
            )
            at = at[inside]
            pairs = np.stack((codes[at], codes[at + partner]), axis=1)
            if strand:
                pairs = T - pairs.astype(np.int16)  # A, C, G, T complement to T, G, C, A
            sites += len(at)
            fitting += int(sum((pairs == pair).all(axis=1).sum() for pair in wanted))
    return SpliceSupport(sites, fitting)
