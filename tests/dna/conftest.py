"""Random loci whose labels and transcripts are known by construction."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import NamedTuple

import numpy as np
import pytest

from dnaannot.dna.grammar import (
    ACCEPTOR,
    CDS0,
    DONOR,
    GAP_AFTER,
    GAP_FIRST,
    INTERGENIC,
    INTRON,
    START,
    STOP,
    Grammar,
    reverse_complement_labels,
)
from dnaannot.dna.sequence import encode, reverse_complement
from dnaannot.dna.transcript import Exon, Strand, Transcript

STOPS = ("TAA", "TAG", "TGA")


class Locus(NamedTuple):
    codes: np.ndarray  # (L,) uint8
    labels: np.ndarray  # (L,) uint8
    transcripts: tuple[Transcript, ...]


def _random_codon(rng: np.random.Generator, letters: str) -> str:
    while True:
        codon = "".join(rng.choice(list(letters), 3))
        if codon not in STOPS:
            return codon


def _random_intron(rng: np.random.Generator, min_intron: int) -> str:
    inside = rng.choice(list("ACGT"), min_intron - 4 + rng.integers(0, 12))
    return str(rng.choice(["GT", "GC"])) + "".join(inside) + "AG"


def _plus_gene(rng: np.random.Generator, min_intron: int) -> tuple[str, list[int], list]:
    """Bases, labels and exons (start, end, phase) of a complete gene on the plus strand."""
    codons = [_random_codon(rng, "ACGTN" if rng.random() < 0.2 else "ACGT")
              for _ in range(rng.integers(0, 12))]  # fmt: skip
    cds = "ATG" + "".join(codons) + str(rng.choice(STOPS))
    cds_labels = [CDS0 + position % 3 for position in range(len(cds))]
    cds_labels[0], cds_labels[-1] = START, STOP
    sites = np.arange(3, len(cds) - 2)
    introns = min(len(sites), int(rng.integers(0, 4)))
    cuts = sorted(rng.choice(sites, introns, replace=False).tolist())
    bases, labels, exons = "", [], []
    for first, last in zip([0, *cuts], [*cuts, len(cds)], strict=True):
        if first:
            intron = _random_intron(rng, min_intron)
            bases += intron
            labels += [DONOR, *[INTRON] * (len(intron) - 2), ACCEPTOR]
        exons.append((len(bases), len(bases) + last - first, int(-first % 3)))
        bases += cds[first:last]
        labels += cds_labels[first:last]
    return bases, labels, exons


@pytest.fixture(scope="session")
def random_locus() -> Callable[..., Locus]:
    """Makes a locus of some complete genes on both strands from a seed."""

    def make(seed: int, min_intron: int = 20, genes: int = 3) -> Locus:
        rng = np.random.default_rng(seed)
        codes, labels, transcripts, position = [], [], [], 0
        for number in range(genes + 1):
            between = rng.integers(1, 30)
            codes.append(rng.integers(0, 4, between).astype(np.uint8))
            labels.append(np.full(between, INTERGENIC, np.uint8))
            position += int(between)
            if number == genes:
                break
            bases, gene_labels, exons = _plus_gene(rng, min_intron)
            gene_codes, gene_labels = encode(bases.encode()), np.array(gene_labels, np.uint8)
            strand = Strand.PLUS
            if rng.random() < 0.5:
                strand = Strand.MINUS
                gene_codes = reverse_complement(gene_codes)
                gene_labels = reverse_complement_labels(gene_labels)
                exons = [(len(bases) - b, len(bases) - a, phase) for a, b, phase in exons[::-1]]
            placed = tuple(Exon(a + position, b + position, phase) for a, b, phase in exons)
            transcripts.append(Transcript("chr", strand, placed))
            codes.append(gene_codes)
            labels.append(gene_labels)
            position += len(bases)
        return Locus(np.concatenate(codes), np.concatenate(labels), tuple(transcripts))

    return make


@pytest.fixture(scope="session")
def random_codes() -> Callable[..., np.ndarray]:
    """Makes codes (L,) rich in splice sites, start and stop codons, N and gaps from a seed."""
    pieces = ("ATG", "GT", "GC", "AG", "TAA", "TGA", "CAT", "TTA", "CT", "AC", "A", "C", "G", "T")

    def make(seed: int, length: int, gap: int = 0, unknown: float = 0.0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        bases = "".join(rng.choice(pieces, length))[:length]
        codes = encode(bases.encode())
        codes[rng.random(length) < unknown] = 4
        if gap:
            for start in rng.integers(0, length, max(1, length // 100)):
                codes[start : start + gap] = 5
        return codes

    return make


@pytest.fixture(scope="session")
def states_and_score() -> Callable[..., tuple[np.ndarray, float]]:
    """Runs `Viterbi.decode` to its end: the states (L,), and the score that it returns."""

    def run(decoding: Generator[np.ndarray, None, float]) -> tuple[np.ndarray, float]:
        parts = []
        while True:
            try:
                parts.append(next(decoding))
            except StopIteration as stop:
                return np.concatenate(parts), stop.value

    return run


@pytest.fixture(scope="session")
def path_score() -> Callable[..., float]:
    """Score of a state path (L,) of a whole sequence, -inf where the grammar does not admit it.

    A plain walk.
    """
    return _path_score


def _path_score(
    grammar: Grammar,
    weights: np.ndarray,
    words: np.ndarray,
    emissions: np.ndarray,
    states: np.ndarray,
) -> float:
    allowed = {
        (int(a), int(b)): (rule, weights[pair])
        for (a, b), rule, pair in zip(
            grammar.edges, grammar.edge_rule, grammar.edge_pair, strict=True
        )
    }
    jumps = {
        (int(a), int(b)): (weights[pair], weights[inner])
        for (a, b), pair, inner in zip(
            grammar.jumps, grammar.jump_pair, grammar.inner_pair, strict=True
        )
    }
    path, length = [int(state) for state in states], len(states)
    if not grammar.begins[path[0]] or not words[0] & grammar.begin_rule[path[0]]:
        return -math.inf
    score = float(emissions[np.arange(length), grammar.label_of_state[states]].sum(dtype=float))
    position, inside = 0, False
    while position < length - 1:
        step = path[position], path[position + 1]
        if step in jumps:
            stop = min(length, position + 1 + grammar.jump_bases)
            inside = position + 1 + grammar.jump_bases > length
            if any(state != step[1] for state in path[position + 1 : stop]):
                return -math.inf
            enter, inner = jumps[step]
            score += float(enter) + (stop - position - 2) * float(inner)
            position = stop - 1
            continue
        position += 1
        rule, weight = allowed.get(step, (0, 0.0))
        if words[position] & rule:
            score += float(weight)
        elif not _gap_edge(grammar, step, int(words[position])):
            return -math.inf
    return score if inside or grammar.ends[path[-1]] else -math.inf


def _gap_edge(grammar: Grammar, step: tuple[int, int], word: int) -> bool:
    source, target = step
    if source == 0:
        opened = grammar.opens[target] and word & int(grammar.begin_rule[target])
        return bool((word & GAP_AFTER and opened) or (word & GAP_FIRST and grammar.emerges[target]))
    return target == 0 and bool(
        (word & GAP_FIRST and grammar.closes[source])
        or (word & GAP_AFTER and grammar.spans[source])
    )
