"""The best path through a grammar, exact on sequences of any length in memory that stays small.

A sequence is scored in blocks at fixed coordinates. At the end of each block the best paths
into all states are followed back, block by block; what they all share is final, and is
yielded and freed. Blocks that wait for the paths to meet move to a temporary file beyond a
budget. Scores are float64 and start again near 0 in each block, and nothing depends on how the
sequence was cut into chunks, so that the result is the same bit for bit.

Ties: of equal candidates the predecessor with the lowest index wins; staying in an intron goes
before entering it, and the edges at gaps come last.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor

import numpy as np

from dnaannot.dna.grammar import GAP_AFTER, GAP_FIRST, Grammar
from dnaannot.dna.viterbi_blocks import Blocks
from dnaannot.dna.viterbi_run import Run, best_end, one_by_one, side_by_side
from dnaannot.dna.viterbi_tables import Planner, build_tables

BLOCK = 16_384
"""Bases between the coordinates at which paths are compared and scores start again near 0."""
MEMORY = 256 << 20
"""Bytes of back pointers held in memory; more go to a temporary file."""


class Viterbi:
    """Best paths through one grammar with one set of weights; made once, used for many sequences.

    Args:
        grammar: states, edges and rules.
        weights: (P,) float32 for `grammar.pairs`.
        block: bases between the coordinates at which paths are compared.
        memory: bytes of back pointers held in memory, beyond which a temporary file is used.

    Raises:
        ValueError: if an intron state of the grammar has other ways in than one jump and its
            own loop.
    """

    def __init__(
        self, grammar: Grammar, weights: np.ndarray, *, block: int = BLOCK, memory: int = MEMORY
    ) -> None:
        self.grammar = grammar
        self._block, self._memory = block, memory
        self._slots = max(1, grammar.jump_bases) if len(grammar.jumps) else 1
        self._tables = build_tables(grammar, weights)
        self._planner = Planner(grammar, weights)

    def decode(
        self,
        chunks: Iterable[tuple[np.ndarray, np.ndarray]],
        begin: np.ndarray | None = None,
        end: np.ndarray | None = None,
        pool: Executor | None = None,
        at_once: int = 1,
    ) -> Generator[np.ndarray, None, float]:
        """States (n,) uint8 of the best path of one sequence, in order, as they become final.

        Labels are `grammar.label_of_state[states]`. Several threads may decode with one object.

        Args:
            chunks: words (n,) uint32 and emissions (n, K) float32, finite, of consecutive
                stretches of any length.
            begin: (S,) bool, states in which a path may begin, `grammar.begins` by default.
            end: (S,) bool, states in which it may end, `grammar.ends` by default; inside a jump
                if it may end in the jump's intron state.
            pool: threads that work on stretches of the sequence side by side, for the same path.
            at_once: stretches of four blocks that are held for them.

        Returns:
            The score of the path, as the generator's value.

        Raises:
            ValueError: if no path fits the sequence.
            FloatingPointError: if emissions that are no numbers leave no best path, not wherever
                there are any.
            OutputError: if the temporary file cannot be written.
        """
        begin = self.grammar.begins if begin is None else begin
        if pool is None:
            passes = one_by_one(self._new_run(), chunks, begin)
        else:
            passes = side_by_side(self._new_run, chunks, begin, pool, at_once)
        position, score, stand = 0, 0.0, None
        with Blocks(self._tables, self._slots, self._memory) as blocks:
            for block, stand in passes:
                position, score = block.end, score + stand.taken_off
                blocks.append(block)
                yield from blocks.settle(stand.alive())
            if stand is None:
                return 0.0
            end = self.grammar.ends if end is None else end
            code, remaining = best_end(self._tables, stand, position, end)
            yield from blocks.finish(code)
        return score + remaining

    def _new_run(self) -> Run:
        return Run(self._tables, self._planner, self._slots, self._block)

    def best_path(
        self,
        words: np.ndarray,
        emissions: np.ndarray,
        begin: np.ndarray | None = None,
        end: np.ndarray | None = None,
    ) -> tuple[np.ndarray, float]:
        """States (L,) uint8 of the best path of a whole sequence, and its score; see `decode`."""
        path, position = np.empty(len(words), np.uint8), 0
        decoding = self.decode([(words, emissions)], begin, end)
        while True:
            try:
                states = next(decoding)
            except StopIteration as stop:
                return path, stop.value
            path[position : position + len(states)] = states
            position += len(states)


def decode(
    grammar: Grammar, weights: np.ndarray, chunks: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Iterator[np.ndarray]:
    """States (n,) uint8 of the best path of one sequence, in order; see `Viterbi.decode`."""
    return Viterbi(grammar, weights).decode(chunks)


def best_path(
    grammar: Grammar,
    weights: np.ndarray,
    words: np.ndarray,
    emissions: np.ndarray,
    begin: np.ndarray | None = None,
    end: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """States (L,) uint8 of the best path of a sequence, and its score; see `Viterbi.decode`."""
    return Viterbi(grammar, weights).best_path(words, emissions, begin, end)


def path_score(
    grammar: Grammar,
    weights: np.ndarray,
    words: np.ndarray,
    emissions: np.ndarray,
    states: np.ndarray,
) -> float:
    """Score of a state path (L,) of a whole sequence, -inf where the grammar does not admit it.

    A plain walk: slow, made for single loci and as an oracle.
    """
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
