"""Genes of sequences: emissions, one best path a sequence, transcripts with posteriors.

codes -> emissions (tiles, stitched) -> blocks -> states -> posteriors -> transcripts
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from dnaannot.dna.chunks import rechunked
from dnaannot.dna.grammar import INTERGENIC, INTRON, MINUS, Grammar, position_words
from dnaannot.dna.posterior import BlockPosterior, posteriors
from dnaannot.dna.posterior_path import path_model
from dnaannot.dna.sequence import GAP, mark_gaps
from dnaannot.dna.transcript import Exon, Transcript, has_whole_codon, read_transcripts
from dnaannot.dna.viterbi import Viterbi
from dnaannot.nn import crf_cuda, posterior_cuda
from dnaannot.nn.model import GeneModel
from dnaannot.predict.compiling import await_compiled
from dnaannot.predict.overlap import in_background
from dnaannot.predict.scorer import Compute, Scorer, no_numbers

Item = TypeVar("Item")

BLOCK = 65_536
"""Bases between the coordinates at which a sequence is cut for its posteriors."""
MIN_GAP = 50
"""Runs of at least this many N are gaps, unless introns may not be so short."""
_RULE_REACH = 2
_CPU_BLOCKS = 4
"""Sequences of more blocks keep a GPU busy with their posteriors."""


class Block(NamedTuple):
    """A stretch of a sequence at fixed coordinates.

    Attributes:
        start: 0-based coordinate of its first base.
        words: (n,) uint32 position words.
        emissions: (n, 17) float32.
        states: (n,) uint8 of the best path.
    """

    start: int
    words: np.ndarray
    emissions: np.ndarray
    states: np.ndarray


@dataclass(frozen=True)
class Genes:
    """The genes of one sequence, found while they are iterated.

    Attributes:
        name: of the sequence.
        codes: (L,) uint8, gaps marked unless the genes come from a journal.
        transcripts: in order of position; must be consumed before the next sequence.
    """

    name: str
    codes: np.ndarray
    transcripts: Iterator[Transcript]


OnLabels = Callable[[str, int, np.ndarray], None]
"""Called with (sequence, start, label posteriors (n, 17) float32) of each block in order."""
OnBases = Callable[[int], None]
"""Called with the number of bases decoded since the last call."""


class GenePredictor:
    """Predicts genes with one model.

    Args:
        model: in evaluation mode.
        compute: how to compute.
        min_gap: runs of at least this many N are gaps: introns may span them, exons may not;
            `least_gap` by default.
        both_strands: average the emissions of both strands, so that the reverse complement of
            a sequence has the mirrored genes; takes twice the time.
        on_bases: receives progress.

    Raises:
        ValueError: if a gap could be shorter than the least intron.
    """

    def __init__(
        self,
        model: GeneModel,
        compute: Compute,
        *,
        min_gap: int | None = None,
        both_strands: bool = False,
        on_bases: OnBases | None = None,
    ) -> None:
        if min_gap is None:
            min_gap = least_gap(model.grammar)
        if min_gap < model.grammar.min_intron:
            raise ValueError(
                f"min_gap must be at least the model's least intron, {model.grammar.min_intron}"
            )
        self.grammar = model.grammar
        self.weights = model.pair_weights.detach().cpu().float().numpy()
        self.min_gap = min_gap
        self.on_bases = on_bases or (lambda _: None)
        self.stride = model.encoder.config.stride
        self._scorer = Scorer(model, compute, both_strands)
        self._viterbi = Viterbi(self.grammar, self.weights)
        self._path = path_model(self.grammar, self.weights)
        self._gap_emissions = gap_emissions(self.grammar, self.weights)

    def predict(
        self, sequences: Iterable[tuple[str, np.ndarray]], on_labels: OnLabels | None = None
    ) -> Iterator[Genes]:
        """Genes of each (name, codes (L,)), in order, L >= 1.

        Each sequence's transcripts must be consumed before the next sequence is asked for.
        Gaps are marked in the codes themselves, so that a chromosome is held once.

        Args:
            on_labels: receives label posteriors.

        Raises:
            ModelError: while transcripts are consumed, if a score is no number.
        """
        marked = (
            (name, mark_gaps(codes, self.min_gap, in_place=True)) for name, codes in sequences
        )
        for name, codes, chunks in self._scorer.score_all(marked):
            yield Genes(name, codes, self._decode(name, codes, chunks, on_labels))

    def _decode(
        self,
        name: str,
        codes: np.ndarray,
        chunks: Iterable[np.ndarray],
        on_labels: OnLabels | None,
    ) -> Iterator[Transcript]:
        blocks = self._beside(self._with_states(self._blocks(codes, chunks)))
        path = _ScoredPath(self.grammar)
        known = self._beside(self._posteriors(blocks, len(codes), on_labels is not None))
        labels = path.follow(self._scored(name, known, on_labels))
        try:
            for transcript in read_transcripts(labels, name):
                scored = path.scored(transcript, len(codes))
                if has_whole_codon(scored, codes):  # what little a sequence end leaves is no gene
                    yield scored
        except FloatingPointError as error:
            raise no_numbers(f" on {name}") from error

    def _blocks(self, codes: np.ndarray, chunks: Iterable[np.ndarray]) -> Iterator[Block]:
        """Blocks without states, cut at multiples of BLOCK whatever the chunks."""
        none = np.empty(0, np.uint8)
        end = 0
        for (emissions,) in rechunked(((chunk,) for chunk in chunks), BLOCK):
            start, end = end, end + len(emissions)
            low = max(0, start - _RULE_REACH)
            words = position_words(codes[low : end + _RULE_REACH])[start - low : end - low]
            gap = codes[start:end] == GAP
            if gap.all():  # the path may stay open all through a gap: its blocks are kept small
                emissions = np.broadcast_to(self._gap_emissions, emissions.shape)
            elif gap.any():
                emissions = np.where(gap[:, None], self._gap_emissions, emissions)
            yield Block(start, words, emissions, none)

    def _with_states(self, blocks: Iterable[Block]) -> Iterator[Block]:
        waiting: deque[Block] = deque()

        def fed() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for block in blocks:
                await_compiled()  # no sooner: this process scores meanwhile
                waiting.append(block)
                yield block.words, block.emissions

        compute = self._scorer.compute
        with ThreadPoolExecutor(compute.threads) as threads:
            # a CPU's threads have scores to compute
            pool = None if compute.device == "cpu" else threads
            decoded = self._viterbi.decode(fed(), pool=pool, at_once=2 * compute.threads)
            for (states,) in rechunked(((chunk,) for chunk in decoded), BLOCK):
                yield waiting.popleft()._replace(states=states)

    def _posteriors(
        self, blocks: Iterable[Block], length: int, labels: bool
    ) -> Iterator[tuple[int, np.ndarray, BlockPosterior]]:
        """Start, states (n,) and posteriors of each block."""
        waiting: deque[tuple[int, np.ndarray]] = deque()

        def fed() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
            for block in blocks:
                waiting.append((block.start, block.states))
                yield block.words, block.emissions, block.states

        given = (self.grammar, self.weights, fed())
        device = torch.device(self._scorer.compute.devices[0])
        if length > _CPU_BLOCKS * BLOCK and crf_cuda.is_available(device):
            made = posterior_cuda.posteriors(*given, device, labels=labels)
        else:
            made = posteriors(*given, labels=labels, path=self._path)
        for found in made:
            yield *waiting.popleft(), found

    def _scored(
        self,
        name: str,
        blocks: Iterable[tuple[int, np.ndarray, BlockPosterior]],
        on_labels: OnLabels | None,
    ) -> Iterator[tuple[np.ndarray, _Piece]]:
        """The states (n,) of each block, and what its path's probabilities follow from."""
        for start, states, (labels, _, leave, join) in blocks:
            if on_labels is not None and labels is not None:
                on_labels(name, start, labels)
            self.on_bases(len(states))
            yield states, _Piece(start, join, leave)

    def _beside(self, items: Iterable[Item]) -> Iterable[Item]:
        """A stage of its own beside a GPU; on a CPU the workers use all threads already."""
        return items if self._scorer.compute.device == "cpu" else in_background(items)


def least_gap(grammar: Grammar) -> int:
    """Length from which a run of N is a gap, where nothing else is said."""
    return max(MIN_GAP, grammar.min_intron)


def gap_emissions(grammar: Grammar, weights: np.ndarray) -> np.ndarray:
    """(17,) float32 scores of a base in a gap: staying intergenic or in an intron costs nothing."""
    scores = np.zeros(len(grammar.labels), np.float32)
    weight_of = {pair: float(weight) for pair, weight in zip(grammar.pairs, weights, strict=True)}
    scores[INTERGENIC] = -weight_of["intergenic", "intergenic"]
    scores[[INTRON, INTRON + MINUS]] = -weight_of["intron+", "intron+"]
    return scores


class _Piece(NamedTuple):
    """Posteriors of the decoded path in one block; see `BlockPosterior`."""

    start: int
    join: np.ndarray
    leave: np.ndarray


class _ScoredPath:
    """The part of a decoded path around the gene being read, with what its score needs."""

    def __init__(self, grammar: Grammar) -> None:
        self._label_of_state = grammar.label_of_state
        self._pieces: deque[_Piece] = deque()

    def follow(self, scored: Iterable[tuple[np.ndarray, _Piece]]) -> Iterator[np.ndarray]:
        """Labels (n,) of each block, its scores kept until the genes in it are read."""
        for states, piece in scored:
            labels = self._label_of_state[states]
            self._pieces.append(piece)
            yield labels
            if labels[-1] == INTERGENIC:  # whatever began before has been read
                self._drop(piece.start)

    def scored(self, transcript: Transcript, length: int) -> Transcript:
        """The transcript with posterior probabilities of its exons and of itself.

        An exon's probability is that of its labels and those of the base to each side, whatever
        the rest of the gene; a gene's that of all labels from the base before it to the base
        after it.
        """

        def probability(start: int, end: int) -> float:
            piece, first = self._find(max(0, start - 1))
            other, last = self._find(min(length - 1, end))
            return math.exp(min(0.0, float(piece.join[first] + other.leave[last])))

        exons = tuple(
            Exon(e.start, e.end, e.phase, probability(e.start, e.end)) for e in transcript.exons
        )
        score = probability(transcript.start, transcript.end)
        self._drop(transcript.end)
        return replace(transcript, exons=exons, score=score)

    def _drop(self, position: int) -> None:
        """Forget the pieces before the one that holds a position."""
        while len(self._pieces) > 1 and self._pieces[1].start <= position:
            self._pieces.popleft()

    def _find(self, position: int) -> tuple[_Piece, int]:
        """The piece that holds a position, and the row there."""
        for piece in self._pieces:
            if piece.start <= position < piece.start + len(piece.join):
                return piece, position - piece.start
        raise IndexError(position)
