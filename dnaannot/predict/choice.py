"""Which bundled gene model fits a genome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dnaannot.catalog import Entry
from dnaannot.dna.transcript import Transcript
from dnaannot.errors import ModelError
from dnaannot.nn.checkpoint import load_gene_model
from dnaannot.predict.genes import GenePredictor
from dnaannot.predict.nearest import Choice, nearest
from dnaannot.predict.scorer import Compute

POOR_FIT = 0.6
"""A genome fits poorly where a model's score on it is under this share of its card's."""
JUDGED_BASES = 20_000
"""A genome of fewer bases is too short for a model's confidence on it to tell anything."""


def usual_confidence(entry: Entry) -> float | None:
    """A model's confidence on the genomes that it was validated on, if its card says it."""
    return entry.card.get("metrics", {}).get("confidence")


def is_poor(entry: Entry, found: float) -> bool:
    """Whether a model is far less sure, with confidence `found`, than where it was validated."""
    usual = usual_confidence(entry)
    return usual is not None and found < POOR_FIT * usual


def confidence(entry: Entry, pieces: Sequence[np.ndarray], compute: Compute) -> float:
    """How sure a model is of the exons it finds: their mean posterior, weighted by length.

    Args:
        pieces: (L_i,) codes of stretches of the genome; gaps are marked in them.

    Returns:
        Between 0 and 1; 0 where it finds none.
    """
    model, _ = load_gene_model(entry.path)
    predictor = GenePredictor(model, compute)
    found = (
        transcript
        for genes in predictor.predict((str(i), codes) for i, codes in enumerate(pieces))
        for transcript in genes.transcripts
    )
    return mean_exon_posterior(found)


def mean_exon_posterior(transcripts: Iterable[Transcript]) -> float:
    """Mean posterior of the exons, weighted by length; 0 where there is none."""
    sure = bases = 0.0
    for transcript in transcripts:
        for exon in transcript.exons:
            sure += exon.score * (exon.end - exon.start)
            bases += exon.end - exon.start
    return sure / bases if bases else 0.0


def choose(entries: Sequence[Entry], pieces: Sequence[np.ndarray]) -> list[Choice]:
    """Gene models for a genome, the nearest first; ties go to the first of `entries`.

    How sure the models are of their exons does not tell them apart: a model trained for longer,
    on denser genomes, is surer on a genome that it does not know than the model that does.

    Args:
        entries: models of any task.
        pieces: (L_i,) codes of stretches of the genome.

    Raises:
        ModelError: if there is no model to choose from.
    """
    entries = [entry for entry in entries if "genes" in entry.tasks]
    if not entries:
        raise ModelError(
            "this installation holds no bundled model.",
            remedy="Give one with --model PATH, or train one with `dnaannot train genes`.",
        )
    return nearest(entries, pieces)
