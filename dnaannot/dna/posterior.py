"""Posterior probabilities along a decoded path, block by block on sequences of any length.

The forward pass goes on exactly from block to block. The backward pass of a block begins
`burn_in` bases further on, or at the end of the sequence, and forgets where it began.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnaannot.dna.forward_backward_kernels import (
    Lattice,
    backward,
    carry,
    forward,
    new_lattice,
    pass_back,
    relattice,
    start_return,
)
from dnaannot.dna.forward_backward_logs import (
    LogLattice,
    log_backward,
    log_forward,
    log_sum,
    new_log_lattice,
)
from dnaannot.dna.forward_backward_tables import (
    ALL_LABELS,
    Steps,
    list_steps,
    shifted_scores,
)
from dnaannot.dna.grammar import Grammar
from dnaannot.dna.posterior_path import (
    PathModel,
    at_donor,
    at_landing,
    joining_states,
    path_model,
)

BURN_IN = 65_536
"""Bases after a block from which its backward pass begins.

Introns of tens of kilobases are what it must outlast; docs/results.md tells what it leaves.
"""


class BlockPosterior(NamedTuple):
    """Posteriors of a block of n bases.

    The decoded path from base a to base b, of this block or a later one, has the posterior
    probability exp(enter[a] + leave[b]).

    Where an intron ends at base a, exp(join[a] + leave[b]) is that of all paths with the labels
    of the decoded one from a to b, whatever codon the intron interrupted: they meet where that
    codon ends, so the exon needs two bases at least.

    Attributes:
        labels: (n, K) float32 posteriors of the labels, None unless asked for.
        enter: (n,) float64.
        leave: (n,) float64.
        join: (n,) float64, as `enter` where no intron ends.
    """

    labels: np.ndarray | None
    enter: np.ndarray
    leave: np.ndarray
    join: np.ndarray


def posteriors(
    grammar: Grammar,
    weights: np.ndarray,
    blocks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    burn_in: int = BURN_IN,
    labels: bool = False,
    begin: np.ndarray | None = None,
    end: np.ndarray | None = None,
    path: PathModel | None = None,
) -> Iterator[BlockPosterior]:
    """Posteriors of consecutive blocks of one sequence, each when its burn-in has come.

    Where the blocks are cut changes the results by what a burn-in does not forget, so cut at
    fixed coordinates.

    Args:
        grammar: states, edges and rules.
        weights: (P,) score of each label pair.
        blocks: (words (n,) uint32, emissions (n, K), decoded states (n,)) of each; inside a jump
            the states are the intron state that it enters.
        burn_in: bases after a block from which its backward pass begins.
        labels: whether label posteriors are wanted.
        begin, end: (S,) bool, states in which a path may begin and end, the grammar's by default.
        path: `path_model(grammar, weights)`, made once for many sequences.

    Raises:
        ValueError: if no path fits the sequence.
        FloatingPointError: if an emission is no number.
    """
    begin = grammar.begins if begin is None else begin
    end = grammar.ends if end is None else end
    path = path_model(grammar, weights) if path is None else path
    passes = _Passes(grammar, path, begin, max(burn_in, grammar.jump_bases), labels)
    for words, emissions, states in blocks:
        if len(words):
            passes.extend(words, emissions, states)
            while passes.is_burnt_in():
                yield passes.finish(None)
    while passes.queue:
        yield passes.finish(end)


@dataclass
class _Stretch:
    """A block and its forward pass; row `first + i` of the lattice is base i of the block.

    Attributes:
        first: rows that belong to the blocks before.
        position: coordinate of the block's first base.
        words: (n,) uint32.
        scores: (n, K), emissions less the greatest of each base.
        steps: edges open at each base.
        states: (first + n,) int64, decoded.
        skipped: (first + n,) bool, inside a jump of the decoded path, which has no state there.
        score: (first + n,) score of the decoded path so far.
        lattice: first + n rows.
        scale: (first + n,) log of what the lattice was divided by so far.
    """

    first: int
    position: int
    words: np.ndarray
    scores: np.ndarray
    steps: Steps
    states: np.ndarray
    skipped: np.ndarray
    score: np.ndarray
    lattice: Lattice
    scale: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.states)

    @property
    def bases(self) -> int:
        return len(self.words)


class _Reach(NamedTuple):
    """What the posteriors of a stretch are computed from.

    Attributes:
        stretches: itself and those that its burn-in reaches.
        stop: row of the last one where the burn-in begins.
        end: (S,) bool, states in which a path may end there.
    """

    stretches: list[_Stretch]
    stop: int
    end: np.ndarray


class _Passes:
    """Forward and backward passes around the decoded path of one sequence."""

    def __init__(
        self, grammar: Grammar, path: PathModel, begin: np.ndarray, burn_in: int, labels: bool
    ) -> None:
        self.queue: deque[_Stretch] = deque()
        self._model, self._steps, self._step_score, self._is_jump, self._ends_intron = path
        self._begin, self._begin_rule = begin, grammar.begin_rule
        self._burn_in, self._labels = burn_in, labels

    def is_burnt_in(self) -> bool:
        """Whether the first stretch of the queue has its burn-in after it."""
        return sum(stretch.bases for stretch in self.queue) - self.queue[0].bases >= self._burn_in

    def extend(self, words: np.ndarray, emissions: np.ndarray, states: np.ndarray) -> None:
        """Put the next block with its forward pass into the queue."""
        before = self.queue[-1] if self.queue else None
        words = np.ascontiguousarray(words, np.uint32)
        allowed, scores = np.full(len(words), ALL_LABELS), np.empty(emissions.shape)
        shift, _ = shifted_scores(np.ascontiguousarray(emissions), allowed, scores)
        if not math.isfinite(shift):
            raise FloatingPointError("emissions must be finite")
        first = 0 if before is None else min(self._model.jump_bases, before.rows)
        rows = first + len(words)
        steps = self._steps.into(words, at_start=before is None)
        stretch = _Stretch(
            first, 0, words, scores, steps, np.empty(rows, np.int64), np.zeros(rows, bool),
            np.zeros(rows), new_lattice(rows, self._model), np.zeros(rows),
        )  # fmt: skip
        stretch.states[first:] = states
        if before is not None:
            stretch.position = before.position + before.bases
            for name in ("states", "skipped", "score"):
                getattr(stretch, name)[:first] = getattr(before, name)[-first:]
        self._follow(stretch)
        self._pass_forward(before, stretch)
        self.queue.append(stretch)

    def _follow(self, stretch: _Stretch) -> None:
        """Fill `skipped` and `score` of the block along the decoded path."""
        first, states = stretch.first, stretch.states
        before, after = states[:-1], states[1:]
        entered = np.cumsum(np.append(0, self._is_jump[before, after]))
        inside = self._model.jump_bases - 1
        skipped = entered > np.append(np.zeros(inside, int), entered)[: len(entered)]
        stretch.skipped[first:] = skipped[first:]
        own = np.append(0.0, self._step_score[before, after])[first:]
        labels = self._model.label_of_state[states[first:]]
        own += stretch.scores[np.arange(stretch.bases), labels]
        start = stretch.score[first - 1] if first else 0.0
        stretch.score[first:] = start + np.cumsum(own)

    def _pass_forward(self, before: _Stretch | None, stretch: _Stretch) -> None:
        """Fill `lattice` and `scale`."""
        first, lattice = stretch.first, stretch.lattice
        if before is not None:
            carry(before.lattice, lattice, first)
            stretch.scale[:first] = before.scale[-first:]
        starts = self._begin & ((stretch.words[0] & self._begin_rule) != 0)
        likelihoods = np.exp(stretch.scores)
        if not forward(
            first, self._model, stretch.steps, stretch.scores, likelihoods, starts, lattice
        ):
            logs = self._in_logs(stretch, stretch.scores, stretch.steps)
            if logs.alpha[-1].max() == -math.inf:
                raise ValueError("no path fits the sequence")
            relattice(first, self._model, stretch.scores, logs.alpha, lattice)
        start = stretch.scale[first - 1] if first else 0.0
        stretch.scale[first:] = start + np.cumsum(lattice.log_scale[first:])

    def _in_logs(self, stretch: _Stretch, scores: np.ndarray, steps: Steps) -> LogLattice:
        """Forward pass over scores (m, K) from the stretch's start, 0 at the base before it."""
        first, lattice = stretch.first, stretch.lattice
        logs = new_log_lattice(first + len(scores), self._model)
        if first:
            scale = (stretch.scale[:first] - stretch.scale[first - 1])[:, None]
            with np.errstate(divide="ignore"):
                logs.alpha[:first] = np.log(lattice.alpha[:first]) + scale
            logs.flow[:first] = lattice.flow[:first] + scale
            logs.blocked[:first] = lattice.blocked[:first]
        starts = self._begin & ((stretch.words[0] & self._begin_rule) != 0)
        log_forward(first, self._model, steps, scores, starts, logs)
        return logs

    def finish(self, end: np.ndarray | None) -> BlockPosterior:
        """Posteriors of the first stretch of the queue, which leaves it.

        Args:
            end: (S,) states in which a path may end with the queue, None if the queue goes on.
        """
        reach = self._reach(end)
        target = reach.stretches[0]
        labels = np.empty(target.scores.shape, np.float32)
        found = self._scaled(reach, labels if self._labels else None)
        if found is None:
            found = self._logarithmic(reach, labels)
        self.queue.popleft()
        return BlockPosterior(labels if self._labels else None, *found)

    def _reach(self, end: np.ndarray | None) -> _Reach:
        stretches, wanted = [self.queue[0]], self._burn_in
        stop = self.queue[0].rows
        for stretch in list(self.queue)[1:]:
            if wanted > 0:
                stretches.append(stretch)
                stop = stretch.first + min(stretch.bases, wanted)
                wanted -= stretch.bases
        if end is None:
            end = np.ones(len(self._begin), bool)
        return _Reach(stretches, stop, end)

    def _scaled(self, reach: _Reach, labels: np.ndarray | None) -> tuple[np.ndarray, ...] | None:
        """`enter`, `leave`, `join`; None where the passes lost mass. Fills `labels` if an array."""
        target, last = reach.stretches[0], reach.stretches[-1]
        total, back = start_return(
            reach.stop - 1, last.position - last.first, self._model, last.lattice, reach.end, None
        )
        if not 0 < total < math.inf:
            return None
        final = last.score[reach.stop - 1] - last.scale[reach.stop - 1] - math.log(total)
        following = [np.array([final])]
        skips = [np.zeros(1, bool)]
        for stretch in reversed(reach.stretches):
            first, stop = stretch.first, reach.stop if stretch is last else stretch.rows
            on_path = np.empty(stretch.bases)
            given = (
                first, stop, stretch.position - first, self._model, stretch.steps,
                np.exp(stretch.scores), stretch.lattice, back, (stretch.states[first:], on_path),
            )  # fmt: skip
            if labels is None:
                fits = pass_back(*given)
            else:
                fits = backward(*given, labels if stretch is target else None, None)
            if not fits:
                return None
            with np.errstate(divide="ignore"):
                leave = np.log(on_path[: stop - first])
            leave += stretch.score[first:stop] - stretch.scale[first:stop]
            following.insert(0, leave)
            skips.insert(0, stretch.skipped[first:stop])
        with np.errstate(divide="ignore"):
            mass = np.log(self._entering(reach, target.lattice.alpha, np.sum))
        enter, join = at_donor(mass + target.scale - target.score, target.skipped)
        leave = at_landing(np.concatenate(following), np.concatenate(skips))
        return enter[target.first :], leave[: target.bases], join[target.first :]

    def _entering(
        self, reach: _Reach, alpha: np.ndarray, total: Callable[[np.ndarray], float]
    ) -> np.ndarray:
        """(2, R) mass that the first stretch's decoded states, and all that join them, hold.

        Args:
            alpha: (R, S) forward mass.
            total: adds up masses.
        """
        target = reach.stretches[0]
        first = target.first
        enter = alpha[np.arange(target.rows), target.states]
        join = enter.copy()
        words = np.concatenate([stretch.words for stretch in reach.stretches])
        states = np.concatenate([stretch.states[stretch.first :] for stretch in reach.stretches])
        for at in np.flatnonzero(self._ends_intron[target.states[first:]]):
            near = slice(at, at + 3)
            others = joining_states(self._model, words[near], states[near])
            join[first + at] = total(alpha[first + at, others])
        return np.stack((enter, join))

    def _logarithmic(self, reach: _Reach, labels: np.ndarray) -> tuple[np.ndarray, ...]:
        """`enter`, `leave`, `join`; fills `labels`; the forward passes are done again."""
        model, target = self._model, reach.stretches[0]
        first = target.first
        length = sum(stretch.bases for stretch in reach.stretches)
        length -= reach.stretches[-1].rows - reach.stop
        words, scores, states, skipped, score = (
            np.concatenate(parts)[:length]
            for parts in zip(
                *((s.words, s.scores, *(a[s.first :] for a in (s.states, s.skipped, s.score)))
                  for s in reach.stretches), strict=True,
            )
        )  # fmt: skip
        steps = list_steps(words, np.full(length, ALL_LABELS), model, target.position == 0)
        logs = self._in_logs(target, scores, steps)
        total = log_sum(model, logs, reach.end)
        if total == -math.inf:
            raise ValueError("no path fits the sequence")
        on_path, marginals = np.empty(length), np.empty(scores.shape, np.float32)
        counts = np.zeros(model.pair.max() + 1)
        log_backward(
            first,
            model,
            steps,
            scores,
            reach.end,
            total,
            logs,
            (states, on_path),
            marginals,
            counts,
        )
        labels[:] = marginals[: target.bases]
        start = target.scale[first - 1] if first else 0.0
        leave = np.append(on_path, 0.0) + np.append(score, score[-1]) - total - start
        mass = self._entering(reach, logs.alpha, np.logaddexp.reduce)
        enter, join = at_donor(mass + start - target.score, target.skipped)
        self._repeat_forward(logs)
        leave = at_landing(leave, np.append(skipped, False))
        return enter[first:], leave[: target.bases], join[first:]

    def _repeat_forward(self, logs: LogLattice) -> None:
        """Forward passes of the queue, after `logs` of its first stretch."""
        target = self.queue[0]
        first = target.first
        relattice(first, self._model, target.scores, logs.alpha, target.lattice)
        start = target.scale[first - 1] if first else 0.0
        target.scale[first:] = start + np.cumsum(target.lattice.log_scale[first:])
        before = target
        for stretch in list(self.queue)[1:]:
            self._pass_forward(before, stretch)
            before = stretch
