"""Random genes that the grammar can spell."""

from __future__ import annotations

import numpy as np
import pytest

from dnaannot.dna.sequence import encode, reverse_complement
from dnaannot.dna.transcript import Strand, Transcript, with_phases

STOPS = {"TAA", "TAG", "TGA"}


def random_bases(rng, length):
    return "".join(rng.choice(list("ACGT"), length))


def random_gene(rng):
    """Bases of a plus-strand gene and its exons."""
    codons = []
    while len(codons) < rng.integers(2, 30):
        codon = random_bases(rng, 3)
        if codon not in STOPS:
            codons.append(codon)
    cds = "ATG" + "".join(codons) + "TAG"
    cuts = sorted(rng.choice(np.arange(3, len(cds) - 3), rng.integers(0, 4), replace=False))
    bases, exons = "", []
    for first, last in zip([0, *cuts], [*cuts, len(cds)], strict=True):
        if first:
            bases += "GT" + random_bases(rng, int(rng.integers(4, 40))) + "AG"
        exons.append((len(bases), len(bases) + last - first))
        bases += cds[first:last]
    return bases, exons


def random_locus(seed, genes=4):
    """Codes of random genes on both strands, and their transcripts."""
    rng = np.random.default_rng(seed)
    parts, transcripts, at = [], [], 0
    for number in range(genes):
        between = random_bases(rng, int(rng.integers(1, 60)))
        bases, exons = random_gene(rng)
        codes, strand = encode(bases.encode()), Strand.PLUS
        if rng.random() < 0.5:
            codes, strand = reverse_complement(codes), Strand.MINUS
            exons = [(len(bases) - end, len(bases) - start) for start, end in exons[::-1]]
        at += len(between)
        placed = with_phases([(a + at, b + at) for a, b in exons], strand)
        name = f"g{number}"
        transcripts.append(Transcript("chr", strand, placed, name=f"{name}.1", gene=name))
        parts += [encode(between.encode()), codes]
        at += len(bases)
    parts.append(encode(b"C" * 20))
    return np.concatenate(parts), transcripts


@pytest.fixture(scope="session")
def locus():
    """Makes codes of random genes on both strands, and their transcripts, from a seed."""
    return random_locus
