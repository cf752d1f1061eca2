"""A run that goes on where an interrupted one stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

import numpy as np

from dnaannot.formats.journal import Journal
from dnaannot.predict.genes import Genes

Sequences = Iterable[tuple[str, np.ndarray]]


def resumed(
    predict: Callable[[Sequences], Iterator[Genes]],
    sequences: Sequences,
    journal: Journal,
    on_known: Callable[[int], None] = lambda _: None,
) -> Iterator[Genes]:
    """Genes of every sequence in order: from the journal where it has them, else predicted.

    What is predicted is added to the journal.

    Args:
        on_known: called with the length of each sequence that the journal has.
    """
    looked_up = ((name, codes, journal.get(name, codes)) for name, codes in sequences)
    for is_missing, group in groupby(looked_up, key=lambda entry: entry[2] is None):
        if not is_missing:
            for name, codes, known in group:
                on_known(len(codes))
                yield Genes(name, codes, iter(known or ()))
            continue
        for genes in predict((name, codes) for name, codes, _ in group):
            transcripts = list(genes.transcripts)
            journal.add(genes.name, genes.codes, transcripts)
            yield Genes(genes.name, genes.codes, iter(transcripts))
