"""The Viterbi recursion over one sequence, one block after the other or stretches side by side.

A stretch of blocks can begin before it is known how the paths into it stand: it begins a block
earlier with all states alike, and where it then stands otherwise than the stretch before it has
ended, it is done again from there, block by block, until it stands as it did the first time.
Scores start again near 0 in each block, so that passes that agree do so to the last bit, and the
result is that of one block after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np

from dnaannot.dna.chunks import rechunked
from dnaannot.dna.kinds import ANYWHERE
from dnaannot.dna.viterbi_blocks import Block
from dnaannot.dna.viterbi_kernels import Front, Pointers, Tables, advance
from dnaannot.dna.viterbi_plans import Planner

_BLOCKS = 4
"""Blocks of a stretch."""
_VECTOR = 16
"""Scores are held in rows of a multiple of so many, which are cleared without a rest."""

Chunk = tuple[np.ndarray, np.ndarray]
"""Words (n,) uint32 and emissions (n, K) of consecutive bases."""


class Stand(NamedTuple):
    """Scores of the best paths at the end of a block.

    Attributes:
        score: (S,) float64, the best of all 0.
        jumping: (jump_bases, J) float64.
        taken_off: from all of them at the end of this block.
    """

    score: np.ndarray
    jumping: np.ndarray
    taken_off: float

    def is_as(self, other: Stand) -> bool:
        """Whether all that follows is the same, but for what was taken off."""
        return bool(
            np.array_equal(self.score, other.score) and np.array_equal(self.jumping, other.jumping)
        )

    def alive(self) -> np.ndarray:
        """(codes,) bool, which paths have a finite score; see `Front`."""
        return np.concatenate((self.score, self.jumping.ravel())) > -np.inf


class Run:
    """The recursion over one sequence, block by block."""

    def __init__(self, tables: Tables, planner: Planner, slots: int, block: int) -> None:
        self._states, jumps = len(tables.opens), len(tables.donor)
        row = -(-(self._states + 1) // _VECTOR) * _VECTOR
        self._tables, self._planner, self.size = tables, planner, block
        self._node, self._taken_off = ANYWHERE, 0.0
        self.position = self.filled = 0
        self._front = Front(
            score=np.full((2, row), -np.inf),
            origin=np.zeros((2, row), np.int32),
            stay=np.full(jumps, -np.inf),
            stay_origin=np.zeros(jumps, np.int32),
            run_sum=np.zeros(len(tables.run_label)),
            jumping=np.full((slots, jumps), -np.inf),
            jumping_origin=np.zeros((slots, jumps), np.int32),
            landing=np.zeros(slots, bool),
        )
        self._back = np.empty(self.size * tables.most_pointers, np.uint8)
        self._open_block()

    def _open_block(self) -> None:
        self._kinds = np.empty(self.size, np.uint16)
        self._marks = np.empty(self.size, np.uint32)
        self.filled = self._pointers = 0

    def feed(self, words: np.ndarray, emissions: np.ndarray, begin: np.ndarray) -> Iterator[Block]:
        """Go on over words (n,) and emissions (n, K); yields the blocks that they complete."""
        start = 0
        while start < len(words):
            stop = min(len(words), start + self.size - self.filled)
            rows = slice(self.filled, self.filled + stop - start)
            kinds = self._kinds[rows]
            self._node = self._planner.classify(
                words[start:stop], self.position == 0, self._node, kinds
            )
            self._pointers += advance(
                self._tables,
                self._planner.plans,
                self._front,
                words[start:stop],
                kinds,
                np.ascontiguousarray(emissions[start:stop], np.float32),
                begin,
                self.position,
                self._back[self._pointers :],
                self._marks[rows],
            )
            self.position += stop - start
            self.filled += stop - start
            start = stop
            if self.filled == self.size:
                yield self.close()

    def close(self) -> Block:
        """The block of the bases since the last one, and a new block."""
        front = self._front
        origin = np.concatenate((front.origin[0, : self._states], front.jumping_origin.ravel()))
        pointers = Pointers(
            self._kinds[: self.filled],
            self._marks[: self.filled],
            self._back[: self._pointers].copy(),
        )
        block = Block(self.position, self.filled, origin, self._planner.plans, pointers)
        self._rebase()
        self._open_block()
        return block

    def _rebase(self) -> None:
        """Take the best score off all, and make each path its own origin."""
        front = self._front
        front.jumping[~front.landing] = -np.inf
        with np.errstate(invalid="ignore"):  # what is no number is refused below
            front.jumping[:] += front.run_sum[self._tables.run]
        best = max(front.score[0].max(), front.jumping.max(initial=-np.inf))
        if not best < math.inf:
            raise FloatingPointError("emissions must be finite")
        self._taken_off = float(best) if best > -np.inf else 0.0
        front.score[0] -= self._taken_off
        front.jumping[:] -= self._taken_off
        self._mark_origins()

    def _mark_origins(self) -> None:
        front, intron = self._front, self._tables.intron
        codes = self._states + np.arange(front.jumping.size)
        front.origin[0, : self._states] = np.arange(self._states)
        front.jumping_origin[:] = codes.reshape(front.jumping.shape)
        front.stay[:], front.stay_origin[:] = front.score[0, intron], intron
        front.run_sum[:] = 0.0

    def stand(self) -> Stand:
        """Where the paths stand, after `close`."""
        score = self._front.score[0, : self._states]
        return Stand(score.copy(), self._front.jumping.copy(), self._taken_off)

    def anywhere(self) -> Stand:
        """Paths in all states, none inside a jump, all alike."""
        front = self._front
        return Stand(np.zeros(self._states), np.full(front.jumping.shape, -np.inf), 0.0)

    def go_on_from(self, stand: Stand, position: int) -> None:
        """Put paths where others stood at `position`."""
        front = self._front
        front.score[0, : self._states], front.jumping[:] = stand.score, stand.jumping
        front.landing[:] = (stand.jumping > -np.inf).any(axis=1)
        self._node = ANYWHERE  # more states than can be reached, which changes nothing
        self.position, self.filled, self._pointers = position, 0, 0
        self._mark_origins()


def best_end(tables: Tables, stand: Stand, position: int, end: np.ndarray) -> tuple[int, float]:
    """Code and score of the best path that may end before `position`.

    Raises:
        ValueError: if none may.
    """
    slots = len(stand.jumping)
    inside = (position - 1 - np.arange(slots)) % slots
    live = (inside > 0)[:, None] & end[tables.intron]
    scores = np.concatenate(
        (np.where(end, stand.score, -np.inf), np.where(live, stand.jumping, -np.inf).ravel())
    )
    code = int(scores.argmax())
    if scores[code] == -math.inf:
        raise ValueError("no path of the grammar fits the sequence")
    return code, float(scores[code])


def one_by_one(
    run: Run, chunks: Iterable[Chunk], begin: np.ndarray
) -> Iterator[tuple[Block, Stand]]:
    """Blocks of a sequence, and how the paths stand after each."""
    for words, emissions in chunks:
        for block in run.feed(words, emissions, begin):
            yield block, run.stand()
    if run.filled:
        block = run.close()
        yield block, run.stand()


def side_by_side(
    make_run: Callable[[], Run],
    chunks: Iterable[Chunk],
    begin: np.ndarray,
    pool: Executor,
    at_once: int,
) -> Iterator[tuple[Block, Stand]]:
    """As `one_by_one`, up to `at_once` stretches at a time in the threads of a pool."""
    first = make_run()
    pieces = rechunked(chunks, _BLOCKS * first.size)
    position = 0
    stand: Stand | None = None
    while lot := list(islice(pieces, at_once)):
        stretches = []
        for words, emissions in lot:
            stretches.append(_Stretch(make_run(), position, (words, emissions), begin))
            position += len(words)
        tails = [(words[-first.size :], emissions[-first.size :]) for words, emissions in lot]
        guesses = [
            pool.submit(stretch.guess, *tail)
            for stretch, tail in zip(stretches[1:], tails, strict=False)
        ]
        stretches[0].do(stand)
        for guess in guesses:
            guess.result()
        while again := _unfounded(stretches):
            for redone in [pool.submit(stretch.do, start) for stretch, start in again]:
                redone.result()
        for stretch in stretches:
            yield from stretch.done
        stand = stretches[-1].end


class _Stretch:
    """Blocks of a sequence that are done on their own.

    Args:
        run: a recursion of its own.
        position: coordinate of the first base, a multiple of the block.
        chunk: its bases.
        begin: (S,) bool, states in which a path may begin.

    Attributes:
        start: how the paths stood from which it was done, None at the sequence's first base.
        done: each block and how the paths stood after it.
    """

    def __init__(self, run: Run, position: int, chunk: Chunk, begin: np.ndarray) -> None:
        self._run, self._position, self._chunk, self._begin = run, position, chunk, begin
        self.start: Stand | None = None
        self.done: list[tuple[Block, Stand]] = []

    @property
    def end(self) -> Stand:
        """How the paths stand after it."""
        return self.done[-1][1]

    def guess(self, words: np.ndarray, emissions: np.ndarray) -> None:
        """Do it from all states alike before these bases, which lie before it."""
        run = self._run
        run.go_on_from(run.anywhere(), self._position - len(words))
        for _ in one_by_one(run, [(words, emissions)], self._begin):
            pass
        self.do(run.stand())

    def do(self, start: Stand | None) -> None:
        """Do it from where paths stand, or from the sequence's first base.

        Where the paths stand as they did the last time, the rest is left as it is.
        """
        run, (words, emissions) = self._run, self._chunk
        if start is not None:
            run.go_on_from(start, self._position)
        self.start = start
        for number, at in enumerate(range(0, len(words), run.size)):
            rows = slice(at, at + run.size)
            found = next(one_by_one(run, [(words[rows], emissions[rows])], self._begin))
            is_known = number < len(self.done) and self.done[number][1].is_as(found[1])
            self.done[number : number + 1] = [found]
            if is_known:
                return


def _unfounded(stretches: list[_Stretch]) -> list[tuple[_Stretch, Stand]]:
    """Stretches that began otherwise than the one before ended, with that end."""
    return [
        (stretch, before.end)
        for before, stretch in pairwise(stretches)
        if stretch.start is None or not stretch.start.is_as(before.end)
    ]
