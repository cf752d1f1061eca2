"""Sequence without labels: stretches of records, windows of them, bases hidden in windows.

What a step sees is a pure function of (seed, step), as for labelled genomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnaannot.dna.grammar import UNKNOWN
from dnaannot.dna.sequence import N, reverse_complement, unknown_runs
from dnaannot.nn.encoder import MASK

MASKED_SHARE = 0.15
REPLACED_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Of the masked bases, the shares that are shown as [MASK] and as a base drawn at random."""

LEAST_BASES = 100
"""Known bases without which a stretch of sequence has nothing to learn from."""

_GAP = 500
_ORDER, _PLACE, _MASK = 1, 2, 3  # what random numbers are for, so that none are used twice


@dataclass(frozen=True)
class Stretch:
    """A stretch of a record without long gaps.

    Attributes:
        record: name of the record.
        start: coordinate of its first base there.
        codes: (L,) uint8.
    """

    record: str
    start: int
    codes: np.ndarray


class Masked(NamedTuple):
    """A window with some bases hidden.

    Attributes:
        tokens: (L,) uint8 what the encoder sees.
        targets: (L,) uint8 the base that was hidden, `UNKNOWN` where none was.
    """

    tokens: np.ndarray
    targets: np.ndarray


class Window(NamedTuple):
    """The half-open interval [start, end) of a stretch."""

    stretch: int
    start: int
    end: int


def stretches(record: str, codes: np.ndarray, offset: int = 0) -> list[Stretch]:
    """The parts of a record between runs of 500 N and more, those with `LEAST_BASES` bases.

    Args:
        codes: (L,) of the record or of a part that begins at coordinate `offset`.
    """
    gaps = unknown_runs(codes, _GAP).ravel()
    borders = np.concatenate(([0], gaps, [len(codes)])).reshape(-1, 2)
    pieces = [(int(start), codes[start:end]) for start, end in borders]
    return [
        Stretch(record, offset + start, piece)
        for start, piece in pieces
        if np.count_nonzero(piece < N) >= LEAST_BASES
    ]


def hide_bases(codes: np.ndarray, random: np.random.Generator, wholly: bool = False) -> Masked:
    """Hide each known base with probability 0.15, as Mupparapu et al. 2025, section 4.1.

    Of the hidden bases 80 % become [MASK], 10 % a base drawn from A, C, G and T (their own
    included), 10 % stay; the loss is on all of them. N is never hidden.

    Args:
        codes: (L,) uint8 bases.
        wholly: show every hidden base as [MASK]. Otherwise a base that is shown where one is
            hidden is the true one in 5 of 8 cases, which tells more than its neighbours do.
    """
    hidden = (random.random(len(codes)) < MASKED_SHARE) & (codes < N)
    fate = random.random(len(codes))
    drawn = random.integers(0, 4, len(codes), np.uint8)
    tokens = np.minimum(codes, N).astype(np.uint8)
    tokens[hidden & (wholly | (fate < REPLACED_SHARE))] = MASK
    is_random = hidden & (tokens != MASK) & (fate < REPLACED_SHARE + RANDOM_SHARE)
    tokens[is_random] = drawn[is_random]
    return Masked(tokens, np.where(hidden, codes, UNKNOWN).astype(np.uint8))


class MaskedSampler:
    """Draws windows so that each epoch sees every stretch once.

    A stretch no longer than a window is one window; a longer one is cut into the least number
    of windows that cover it, placed anew in every epoch: each anywhere around its place in a row
    of windows at equal distances, and where that is past an end of the stretch, at the end. Half
    of the windows are reverse-complemented, chosen anew in every epoch too.

    Args:
        sequences: (L_i,) codes.
        window: most bases a window.
        seed: of the order, places and masks.
    """

    def __init__(self, sequences: Sequence[np.ndarray], window: int, seed: int) -> None:
        self.sequences, self.window, self.seed = list(sequences), window, seed
        counts = [-(-len(codes) // window) for codes in self.sequences]
        self._stretch = np.repeat(np.arange(len(counts)), counts)
        self._slot = np.concatenate([np.arange(count) for count in counts])
        self._slots = np.repeat(counts, counts)
        self.bases = sum(len(codes) for codes in self.sequences)
        self._epoch = 0, self._order(0)

    @property
    def windows(self) -> int:
        """Windows in an epoch."""
        return len(self._stretch)

    def draw(self, first: int, count: int) -> list[Masked]:
        """The windows numbered `first` to `first` + `count` in the order of all epochs."""
        return [self._masked(number) for number in range(first, first + count)]

    def place(self, number: int) -> tuple[Window, bool]:
        """Where a window lies, and whether it is reverse-complemented."""
        epoch, turn = divmod(number, self.windows)
        if epoch != self._epoch[0]:
            self._epoch = epoch, self._order(epoch)
        chosen = int(self._epoch[1][turn])
        stretch = int(self._stretch[chosen])
        length, slots = len(self.sequences[stretch]), int(self._slots[chosen])
        room = max(0, length - self.window)
        random = _random(self.seed, _PLACE, number)
        place = (int(self._slot[chosen]) + random.random() - 0.5) / max(1, slots - 1)
        start = round(min(max(place, 0.0), 1.0) * room)
        return Window(stretch, start, min(start + self.window, length)), random.random() < 0.5

    def _masked(self, number: int) -> Masked:
        window, flip = self.place(number)
        codes = self.sequences[window.stretch][window.start : window.end]
        codes = reverse_complement(codes) if flip else codes
        return hide_bases(codes, _random(self.seed, _MASK, number))

    def _order(self, epoch: int) -> np.ndarray:
        return _random(self.seed, _ORDER, epoch).permutation(self.windows)


def tiles(sequences: Sequence[np.ndarray], window: int, most_bases: int) -> list[Window]:
    """Windows that lie side by side, at most about `most_bases` in all, evenly spread."""
    everything = [
        Window(number, start, min(start + window, len(codes)))
        for number, codes in enumerate(sequences)
        for start in range(0, len(codes), window)
    ]
    bases = sum(len(codes) for codes in sequences)
    every = max(1, round(bases / most_bases))
    return everything[::every]


def hold_out(found: Sequence[Stretch], share: float) -> tuple[list[Stretch], list[Stretch]]:
    """Stretches for training and for validation.

    Whole records are held out, drawn at random (the same for every seed of a run) until they
    hold `share` of the bases. Where those that are small enough (organelles, scaffolds) hold less
    than half of that, the end of the longest stretch makes up for it, as one block.
    """
    sizes: dict[str, int] = {}
    for stretch in found:
        sizes[stretch.record] = sizes.get(stretch.record, 0) + len(stretch.codes)
    goal = wanted = share * sum(sizes.values())
    chosen: set[str] = set()
    for number in np.random.default_rng(0).permutation(len(sizes)):
        record = list(sizes)[number]
        if sizes[record] <= wanted:
            chosen.add(record)
            wanted -= sizes[record]
    train = [stretch for stretch in found if stretch.record not in chosen]
    held_out = [stretch for stretch in found if stretch.record in chosen]
    if wanted > goal / 2:
        train, block = _split_block(train, round(wanted))
        held_out += block
    return train, held_out


def _split_block(found: Sequence[Stretch], bases: int) -> tuple[list[Stretch], list[Stretch]]:
    longest = max(found, key=lambda stretch: len(stretch.codes))
    border = max(0, len(longest.codes) - bases)
    rest = [stretch for stretch in found if stretch is not longest]
    first, last = longest.codes[:border], longest.codes[border:]
    return (
        rest + stretches(longest.record, first, longest.start),
        stretches(longest.record, last, longest.start + border),
    )


def _random(seed: int, purpose: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, purpose, number]))
