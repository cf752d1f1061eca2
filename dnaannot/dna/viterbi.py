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

from collections.abc import Generator, Iterable
from concurrent.futures import Executor

import numpy as np

from dnaannot.dna.grammar import Grammar
from dnaannot.dna.viterbi_blocks import Blocks
from dnaannot.dna.viterbi_plans import Planner
from dnaannot.dna.viterbi_run import Run, best_end, one_by_one, side_by_side
from dnaannot.dna.viterbi_tables import build_tables

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
