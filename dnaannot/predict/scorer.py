"""Networks over sequences: fixed tiles, scored by single-threaded workers, in order.

`Network`, `tiles`, `tokens_of` and `ordered` serve every model; `Scorer` stitches the emissions
of a gene model, one row a base.

The result depends on the sequence alone. Kernels may round differently for other shapes or
thread counts, so a tile's shape follows from the length of its sequence only, tiles begin at
fixed coordinates, and each is computed by one thread; parallelism is between tiles. What the
caller chooses (threads, window, batch size) only schedules. On GPUs tiles are computed in batches
of one shape, filled up with padding, which tiles lie in which makes no difference; the shape
follows from the free memory, and rounding with it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from dnaannot.dna.grammar import LABELS, MIRRORED_LABEL
from dnaannot.dna.sequence import GAP, N, reverse_complement
from dnaannot.errors import ModelError
from dnaannot.nn.encoder import PAD
from dnaannot.nn.model import GeneModel, TaskModel
from dnaannot.predict.replicas import WORKERS_PER_GPU, Replicas, bases_at_once

Item = TypeVar("Item")
Result = TypeVar("Result")

_LADDER = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Tile lengths in strides; the longest serves all longer sequences."""
_BATCHED_BASES = 18_432
"""Sequences up to this length are scored in batches of about this many bases."""
_LOT_BASES = 2_000_000
"""Short sequences are gathered into lots of about this many bases."""


@dataclass(frozen=True)
class Compute:
    """How to compute; nothing here changes a result but `device` and `bf16`, within rounding.

    Attributes:
        device: "cpu" or "cuda".
        bf16: compute the encoder in bfloat16.
        threads: CPU workers.
        ahead: bases scored ahead of the decoder at most (at least one tile).
        gpus: how many share the tiles.
    """

    device: str = "cpu"
    bf16: bool = False
    threads: int = 1
    ahead: int = 0
    gpus: int = 0

    @property
    def devices(self) -> tuple[str, ...]:
        """What computes, as torch names it."""
        if self.device == "cpu":
            return ("cpu",)
        return tuple(f"{self.device}:{number}" for number in range(max(1, self.gpus)))

    @property
    def at_once(self) -> int:
        """Calls of a network that run side by side."""
        return self.threads if self.device == "cpu" else WORKERS_PER_GPU * len(self.devices)

    def workers(self) -> ThreadPoolExecutor:
        """As `single_threaded`: one for each CPU thread, or some to feed each GPU."""
        return single_threaded(self.at_once)


def single_threaded(count: int) -> ThreadPoolExecutor:
    """Threads in which torch computes alone, so that no result depends on how many there are."""
    return ThreadPoolExecutor(count, initializer=partial(torch.set_num_threads, 1))


class Tile(NamedTuple):
    """A stretch of one sequence that is scored at once.

    Attributes:
        start: coordinate of the tile's first base; negative where the tile begins before the
            sequence does.
        core_start, core_end: the half-open interval whose emissions are kept.
    """

    start: int
    core_start: int
    core_end: int


def tile_length(length: int, stride: int) -> int:
    """Bases a tile, for a sequence of `length` bases."""
    return stride * next((n for n in _LADDER if n * stride >= length), _LADDER[-1])


def tiles(length: int, stride: int, halo: int, size: int | None = None) -> list[Tile]:
    """Tiles that cover a sequence; a sequence that fits one tile needs no halo.

    Args:
        halo: bases to each side that a kept base depends on, a multiple of the stride.
        size: bases a tile, a multiple of the stride; `tile_length` by default.

    Raises:
        ValueError: a tile has no base but halos.
    """
    size = size or tile_length(length, stride)
    if length <= size:
        return [Tile(0, 0, length)]
    core = size - 2 * halo
    if core <= 0:
        raise ValueError(f"tiles of {size} bases do not hold halos of {halo}")
    return [Tile(at - halo, at, min(at + core, length)) for at in range(0, length, core)]


class Network:
    """A network where it computes: token batches in, arrays out.

    Args:
        network: in evaluation mode; takes tokens (B, L) and gives a tensor (B, rows, ...).
        compute: how to compute.
    """

    def __init__(self, network: TaskModel, compute: Compute) -> None:
        self.compute = compute
        self._replicas = Replicas(network, compute.devices, compute.bf16)
        self._batched = _BATCHED_BASES
        if compute.device != "cpu":
            self._batched = bases_at_once(network.encoder, compute.devices)

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        """Its float32 output for tokens (B, L) uint8."""
        return self._replicas(tokens)

    def rows(self, size: int) -> int:
        """Rows of a batch of this many bases a row; on GPUs a power of two."""
        rows = max(1, self._batched // size)
        return rows if self.compute.device == "cpu" else 1 << (rows.bit_length() - 1)

    @property
    def batched_bases(self) -> int:
        """Bases of a batch."""
        return self._batched


class Scorer:
    """Scores sequences with a gene model.

    Args:
        model: in evaluation mode.
        compute: how to compute.
        both_strands: average the emissions with those of the reverse complement.
    """

    def __init__(self, model: GeneModel, compute: Compute, both_strands: bool = False) -> None:
        self.compute, self.both_strands = compute, both_strands
        self._network = Network(model, compute)
        self.stride, self.halo = model.encoder.config.stride, model.halo

    def score_all(
        self, sequences: Iterable[tuple[Item, np.ndarray]]
    ) -> Iterator[tuple[Item, np.ndarray, Iterator[np.ndarray]]]:
        """(item, codes, emission chunks (n, 17) float32 in order) of each sequence, in order.

        Each sequence's chunks must be consumed before the next sequence is asked for.

        Args:
            sequences: (anything, codes (L,) with gaps marked) of each sequence, L >= 1.
        """
        with self.compute.workers() as pool:
            for lot in self._lots(sequences):
                item, codes = lot[0]
                if self._is_long(codes):
                    yield item, codes, self._score_long(pool, codes)
                else:
                    yield from self._score_short(pool, lot)

    def _is_long(self, codes: np.ndarray) -> bool:
        return len(codes) > min(self._network.batched_bases, _LADDER[-1] * self.stride)

    def _lots(
        self, sequences: Iterable[tuple[Item, np.ndarray]]
    ) -> Iterator[list[tuple[Item, np.ndarray]]]:
        lot: list[tuple[Item, np.ndarray]] = []
        bases, most = 0, max(_LOT_BASES, 2 * self._network.batched_bases)
        for item, codes in sequences:
            is_long = self._is_long(codes)
            if lot and (is_long or bases + len(codes) > most):
                yield lot
                lot, bases = [], 0
            if is_long:
                yield [(item, codes)]
            else:
                lot.append((item, codes))
                bases += len(codes)
        if lot:
            yield lot

    def _score_long(self, pool: ThreadPoolExecutor, codes: np.ndarray) -> Iterator[np.ndarray]:
        plan = tiles(len(codes), self.stride, self.halo)
        size = tile_length(len(codes), self.stride)
        rows = self._network.rows(size)
        in_flight = 2 * self.compute.at_once
        if self.compute.ahead:
            in_flight = max(1, self.compute.ahead // (size * rows))

        def scored(strand_codes: np.ndarray, plan: Sequence[Tile]) -> Iterator[np.ndarray]:
            batches = [plan[at : at + rows] for at in range(0, len(plan), rows)]
            work = partial(self._score_tiles, strand_codes, size)
            return itertools.chain.from_iterable(ordered(pool, work, batches, in_flight))

        forward = scored(codes, plan)
        if not self.both_strands:
            return forward
        # the reverse complement's tiles are anchored at the sequence's end: last tile first
        backward = scored(reverse_complement(codes), plan[::-1])
        return _averaged(forward, (_mirrored(chunk) for chunk in backward))

    def _score_tiles(self, codes: np.ndarray, size: int, batch: Sequence[Tile]) -> list[np.ndarray]:
        """Emissions (n, 17) of the cores of tiles of `size` bases; 0 where all is gap."""
        cores = [codes[tile.core_start : tile.core_end] for tile in batch]
        found = [np.zeros((len(core), len(LABELS)), np.float32) for core in cores]
        scored = [number for number, core in enumerate(cores) if not (core == GAP).all()]
        if not scored:
            return found
        tokens = np.full((self._network.rows(size), size), PAD, np.uint8)
        for row, number in enumerate(scored):
            _fill(tokens[row], codes, batch[number].start)
        emissions = self._emissions(tokens)
        for row, number in enumerate(scored):
            first = batch[number].core_start - batch[number].start
            found[number] = emissions[row, first : first + len(cores[number])]
        return found

    def _score_short(
        self, pool: ThreadPoolExecutor, lot: Sequence[tuple[Item, np.ndarray]]
    ) -> Iterator[tuple[Item, np.ndarray, Iterator[np.ndarray]]]:
        forward = self._score_lot(pool, [codes for _, codes in lot])
        if self.both_strands:
            backward = self._score_lot(pool, [reverse_complement(codes) for _, codes in lot])
            forward = [
                (one + _mirrored(other)) / 2 for one, other in zip(forward, backward, strict=True)
            ]
        for (item, codes), emissions in zip(lot, forward, strict=True):
            yield item, codes, iter((emissions,))

    def _score_lot(self, pool: ThreadPoolExecutor, lot: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Emissions (L_i, 17) of short sequences, in batches of like length."""
        by_size: dict[int, list[int]] = {}
        for index, codes in enumerate(lot):
            by_size.setdefault(tile_length(len(codes), self.stride), []).append(index)
        rows = self._network.rows
        jobs = [
            (size, indices[at : at + rows(size)])
            for size, indices in by_size.items()
            for at in range(0, len(indices), rows(size))
        ]

        def score(job: tuple[int, list[int]]) -> list[tuple[int, np.ndarray]]:
            size, indices = job
            tokens = np.full((rows(size), size), PAD, np.uint8)
            for row, index in enumerate(indices):
                _fill(tokens[row], lot[index], 0)
            emissions = self._emissions(tokens)
            return [(index, emissions[row, : len(lot[index])]) for row, index in enumerate(indices)]

        found = dict(itertools.chain.from_iterable(pool.map(score, jobs)))
        return [found[index] for index in range(len(lot))]

    def _emissions(self, tokens: np.ndarray) -> np.ndarray:
        return self._network(tokens)


def no_numbers(place: str) -> ModelError:
    """What is raised where a network's values are no numbers, at a place told as ` at chr1:1-9`."""
    return ModelError(
        f"the model gives values that are no numbers{place}.",
        remedy="Try --precision fp32; if that does not help, train the model again.",
    )


def _fill(row: np.ndarray, codes: np.ndarray, start: int) -> None:
    """Put the tokens of codes from coordinate `start` on into a row of padding."""
    low, high = max(start, 0), min(start + len(row), len(codes))
    row[low - start : high - start] = np.minimum(codes[low:high], N)


def tokens_of(codes: np.ndarray, start: int, size: int) -> np.ndarray:
    """Tokens (1, size) uint8 from coordinate `start` on, padding beyond the sequence's ends."""
    tokens = np.full((1, size), PAD, np.uint8)
    _fill(tokens[0], codes, start)
    return tokens


def ordered(
    pool: ThreadPoolExecutor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    in_flight: int,
) -> Iterator[Result]:
    """Results in the order of items, at most `in_flight` computed ahead."""
    queue: deque[Future[Result]] = deque()
    waiting = iter(items)
    try:
        for item in itertools.islice(waiting, in_flight):
            queue.append(pool.submit(work, item))
        while queue:
            result = queue.popleft().result()
            for item in itertools.islice(waiting, 1):
                queue.append(pool.submit(work, item))
            yield result
    finally:
        for future in queue:  # what an interrupted run need not wait for
            future.cancel()


def _mirrored(emissions: np.ndarray) -> np.ndarray:
    """Emissions (n, 17) of the other strand's stretch, as this strand reads it."""
    return emissions[::-1, MIRRORED_LABEL]


def _averaged(ones: Iterator[np.ndarray], others: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Mean of two streams of rows that are cut at different places."""
    one, other = next(ones, None), next(others, None)
    while one is not None and other is not None:
        shared = min(len(one), len(other))
        yield (one[:shared] + other[:shared]) / 2
        one = one[shared:] if shared < len(one) else next(ones, None)
        other = other[shared:] if shared < len(other) else next(others, None)
