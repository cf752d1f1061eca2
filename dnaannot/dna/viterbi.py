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

import io
import math
import tempfile
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from dnaannot.dna.grammar import GAP_AFTER, GAP_FIRST, Grammar
from dnaannot.dna.viterbi_kernels import Front, Tables, advance, rebase, trace
from dnaannot.dna.viterbi_tables import Planner, build_tables
from dnaannot.errors import OutputError

BLOCK = 65_536
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
    ) -> Generator[np.ndarray, None, float]:
        """States (n,) uint8 of the best path of one sequence, in order, as they become final.

        Labels are `grammar.label_of_state[states]`. Several threads may decode with one object.

        Args:
            chunks: words (n,) uint32 and emissions (n, K) float32, finite, of consecutive
                stretches of any length.
            begin: (S,) bool, states in which a path may begin, `grammar.begins` by default.
            end: (S,) bool, states in which it may end, `grammar.ends` by default; inside a jump
                if it may end in the jump's intron state.

        Returns:
            The score of the path, as the generator's value.

        Raises:
            ValueError: if no path fits the sequence.
            OutputError: if the temporary file cannot be written.
        """
        run = _Run(self._tables, self._planner, self._slots, self._block)
        begin = self.grammar.begins if begin is None else begin
        with _Blocks(self._tables, self._slots, self._memory) as blocks:
            for words, emissions in chunks:
                for block in run.feed(words, emissions, begin):
                    blocks.append(block)
                    yield from blocks.settle(run.alive())
            if run.position == 0:
                return 0.0
            if run.filled:
                blocks.append(run.close())
            code, score = run.best(self.grammar.ends if end is None else end)
            yield from blocks.finish(code)
        return score

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


class _Run:
    """The recursion over one sequence, block by block."""

    def __init__(self, tables: Tables, planner: Planner, slots: int, block: int) -> None:
        states, jumps = len(tables.label), len(tables.donor)
        self._tables, self._planner, self._slots, self._size = tables, planner, slots, block
        self._before, self._taken_off = 0, 0.0
        self.position = self.filled = 0
        self._front = Front(
            score=np.full((2, states), -np.inf),
            origin=np.zeros((2, states), np.int32),
            stay=np.full(jumps, -np.inf),
            stay_origin=np.zeros(jumps, np.int32),
            run_sum=np.zeros(len(tables.run_label)),
            jumping=np.full((slots, jumps), -np.inf),
            jumping_origin=np.zeros((slots, jumps), np.int32),
            landing=np.zeros(slots, bool),
        )
        self._open_block()

    def _open_block(self) -> None:
        self._back = np.empty((self._size, self._tables.columns), np.uint8)
        self._marks = np.empty(self._size, np.uint32)
        self.filled = 0

    def feed(self, words: np.ndarray, emissions: np.ndarray, begin: np.ndarray) -> Iterator[_Block]:
        """Go on over words (n,) and emissions (n, K); yields the blocks that they complete."""
        start = 0
        while start < len(words):
            stop = min(len(words), start + self._size - self.filled)
            rows = slice(self.filled, self.filled + stop - start)
            kinds, self._before = self._planner.kinds(
                words[start:stop], self.position, self._before
            )
            advance(
                self._tables,
                self._planner.plans,
                self._front,
                words[start:stop],
                kinds,
                np.ascontiguousarray(emissions[start:stop], np.float32),
                begin,
                self.position,
                self._back[rows],
                self._marks[rows],
            )
            self.position += stop - start
            self.filled += stop - start
            start = stop
            if self.filled == self._size:
                yield self.close()

    def close(self) -> _Block:
        """The block of the bases since the last one, and a new block."""
        front = self._front
        origin = np.concatenate((front.origin[0], front.jumping_origin.ravel()))
        pointers = self._back[: self.filled], self._marks[: self.filled]
        block = _Block(self.position, self.filled, origin, pointers)
        self._taken_off += rebase(self._tables, front)
        self._open_block()
        return block

    def alive(self) -> np.ndarray:
        """(codes,) bool, which paths have a finite score after `close`."""
        jumping = self._front.jumping + np.where(self._front.landing, 0.0, -np.inf)[:, None]
        return np.concatenate((self._front.score[0], jumping.ravel())) > -np.inf

    def best(self, end: np.ndarray) -> tuple[int, float]:
        """Code and score of the best path that may end here, after `close`."""
        inside = (self.position - 1 - np.arange(self._slots)) % self._slots
        live = (self._front.landing & (inside > 0))[:, None] & end[self._tables.intron]
        scores = np.concatenate(
            (
                np.where(end, self._front.score[0], -np.inf),
                np.where(live, self._front.jumping, -np.inf).ravel(),
            )
        )
        code = int(scores.argmax())
        if scores[code] == -math.inf:
            raise ValueError("no path of the grammar fits the sequence")
        return code, float(scores[code]) + self._taken_off


@dataclass
class _Block:
    """Back pointers of consecutive bases.

    Attributes:
        end: 0-based coordinate after the last base.
        bases: number of bases n.
        origin: (codes,) int32, for each path at the last base (see `Front`) its code at the
            last base of the block before.
        pointers: predecessors (n, columns) uint8 of the states that have several, and marks
            (n,) uint32 that say how intron states were entered; None while in the file.
        offset: where they lie in the temporary file.
    """

    end: int
    bases: int
    origin: np.ndarray
    pointers: tuple[np.ndarray, np.ndarray] | None
    offset: int = 0


class _Blocks:
    """The blocks whose path is not final yet, oldest first; beyond `memory`, in a file."""

    def __init__(self, tables: Tables, slots: int, memory: int) -> None:
        self._tables, self._slots, self._memory = tables, slots, memory
        self._waiting: deque[_Block] = deque()
        self._file: IO[bytes] | None = None
        self._spilled = self._held = 0
        self._first = np.zeros(0, np.int32)  # code at the end of the oldest block, by code now

    def __enter__(self) -> _Blocks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, block: _Block) -> None:
        codes = np.arange(len(block.origin), dtype=np.int32)
        self._first = self._first[block.origin] if self._waiting else codes
        self._waiting.append(block)
        self._held += _nbytes(block)
        while self._held > self._memory:
            self._spill(self._waiting[self._spilled])

    def settle(self, alive: np.ndarray) -> Iterator[np.ndarray]:
        """States of the blocks at whose end all paths that are `alive` (codes,) bool agree."""
        codes = np.flatnonzero(alive)
        if not len(codes) or (self._first[codes] != self._first[codes[0]]).any():
            return
        final = len(self._waiting)
        while (codes != codes[0]).any():
            final -= 1
            codes = np.unique(self._waiting[final].origin[codes])
        yield from self.finish(int(codes[0]), final)
        self._first = np.arange(len(alive), dtype=np.int32)
        for block in list(self._waiting)[:0:-1]:
            self._first = block.origin[self._first]

    def finish(self, code: int, final: int | None = None) -> Iterator[np.ndarray]:
        """States of the `final` oldest blocks (all by default), whose path ends at `code`."""
        blocks, codes = list(self._waiting)[:final], [code]
        for block in blocks[:0:-1]:
            codes.append(int(block.origin[codes[-1]]))
        for block in blocks:
            self._waiting.popleft()
            back, marks = self._take(block)
            path = np.empty(block.bases, np.uint8)
            trace(self._tables, self._slots, codes.pop(), block.end, back, marks, path)
            yield path

    def _spill(self, block: _Block) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="dnaannot-")  # noqa: SIM115
            block.offset = self._file.seek(0, io.SEEK_END)
            for pointers in block.pointers or ():
                self._file.write(pointers.data)
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"back pointers cannot be written: {error.strerror}.",
                path=tempfile.gettempdir(),
                remedy="Free space there, or set TMPDIR to a folder that has some.",
            ) from error
        self._held -= _nbytes(block)
        self._spilled += 1
        block.pointers = None

    def _take(self, block: _Block) -> tuple[np.ndarray, np.ndarray]:
        """The block's pointers, which then count no longer."""
        if block.pointers is not None:
            self._held -= _nbytes(block)
            return block.pointers
        back = np.empty((block.bases, self._tables.columns), np.uint8)
        marks = np.empty(block.bases, np.uint32)
        self._file.seek(block.offset)
        for pointers in (back, marks):
            self._file.readinto(pointers.data.cast("B"))
        self._spilled -= 1
        if not self._spilled:
            self._file.truncate(0)
        return back, marks


def _nbytes(block: _Block) -> int:
    return sum(pointers.nbytes for pointers in block.pointers or ())


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
        return bool((word & GAP_AFTER and opened) or (word & GAP_FIRST and grammar.spans[target]))
    return target == 0 and bool(
        (word & GAP_FIRST and grammar.closes[source])
        or (word & GAP_AFTER and grammar.spans[source])
    )
