"""A run that goes on where an interrupted one stopped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from dnaannot.dna.transcript import Transcript
from dnaannot.formats.journal import Journal
from dnaannot.predict.genes import Genes

Sequences = Iterable[tuple[str, np.ndarray]]


def resumed(
    predict: Callable[[Sequences], Iterator[Genes]], sequences: Sequences, journal: Journal
) -> Iterator[Genes]:
    """Genes of every sequence in order: from the journal where it has them, else predicted.

    What is predicted is added to the journal.
    """
    order: deque[tuple[str, np.ndarray, list[Transcript] | None]] = deque()

    def missing() -> Iterator[tuple[str, np.ndarray]]:
        for name, codes in sequences:
            known = journal.get(name, codes)
            order.append((name, codes, known))
            if known is None:
                yield name, codes

    def known_first() -> Iterator[Genes]:
        while order and order[0][2] is not None:
            name, codes, known = order.popleft()
            yield Genes(name, codes, iter(known or ()))

    for genes in predict(missing()):
        yield from known_first()
        name, codes, _ = order.popleft()
        transcripts = list(genes.transcripts)
        journal.add(name, codes, transcripts)
        yield Genes(name, genes.codes, iter(transcripts))
    yield from known_first()
