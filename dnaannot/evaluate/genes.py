"""All that is measured of predicted genes beside a reference, as one value, text and JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnaannot.dna.nine_labels import NINE_LABELS
from dnaannot.dna.transcript import Transcript
from dnaannot.evaluate.bend_labels import confusion, matthews
from dnaannot.evaluate.gene_metrics import (
    Level,
    Stratum,
    compare,
    recall_by_exon_count,
    recall_by_exon_length,
    recall_by_gene_length,
)
from dnaannot.evaluate.gene_sets import Reachable, reachable, representatives
from dnaannot.evaluate.intervals import Regions


@dataclass(frozen=True)
class GeneScores:
    """How well predicted genes match a reference.

    Attributes:
        levels: counts by level, from nucleotide to gene.
        cap: how many reference genes a single path can find.
        confusion: bases (9, 9) int64 by BEND label, of the reference (row) and the prediction.
        by_exon_length: recall of exons by length in bases.
        by_exon_count: recall of genes by their coding exons.
        by_gene_length: recall of genes by the span of their CDS.
    """

    levels: Mapping[str, Level]
    cap: Reachable
    confusion: np.ndarray
    by_exon_length: Sequence[Stratum]
    by_exon_count: Sequence[Stratum]
    by_gene_length: Sequence[Stratum]

    @property
    def mcc(self) -> float:
        """Multiclass Matthews correlation of the nine labels."""
        return matthews(self.confusion)


def score_genes(
    predicted: Sequence[Transcript],
    reference: Sequence[Transcript],
    lengths: Mapping[str, int] | None = None,
    regions: Regions | None = None,
    marked: Collection[str] = (),
) -> GeneScores:
    """Compare two annotations of coding genes.

    Args:
        predicted, reference: transcripts, alternative ones too; CDS with the stop codon.
        lengths: bases of each sequence that counts; they weigh in the MCC alone, as bases
            outside genes. Without them a sequence ends with its last gene.
        regions: the part of the genome that counts, all of it by default.
        marked: names of transcripts that represent their genes in the MCC and in the cap;
            genes without one are represented by their longest complete CDS.

    Raises:
        DataError: a transcript lies beyond its sequence, or on one without a length.
    """
    return GeneScores(
        levels=compare(predicted, reference, regions),
        cap=reachable(reference, marked, regions),
        confusion=confusion(
            representatives(predicted, marked),
            representatives(reference, marked),
            last_bases(predicted, reference) if lengths is None else lengths,
            regions,
        ),
        by_exon_length=recall_by_exon_length(predicted, reference, regions),
        by_exon_count=recall_by_exon_count(predicted, reference, regions),
        by_gene_length=recall_by_gene_length(predicted, reference, regions),
    )


def last_bases(*annotations: Sequence[Transcript]) -> dict[str, int]:
    """End (exclusive) of the last gene on each sequence."""
    ends: dict[str, int] = {}
    for annotation in annotations:
        for each in annotation:
            ends[each.sequence] = max(ends.get(each.sequence, 0), each.end)
    return ends


def to_text(scores: GeneScores) -> str:
    """Aligned tables: the levels, the MCC and the cap, then the genes found by size."""
    lines = [
        f"{'level':<14}{'sensitivity':>11}{'precision':>11}{'F1':>8}"
        f"{'reference':>13}{'predicted':>13}{'matched':>13}"
    ]
    for name, level in scores.levels.items():
        recall, precision, f1 = percentages(level)
        lines.append(
            f"{name:<14}{recall:>11}{precision:>11}{f1:>8}"
            f"{level.reference:>13,}{level.predicted:>13,}{level.found:>13,}"
        )
    cap = scores.cap
    part = 100 * cap.by_one_path / cap.genes if cap.genes else 0.0
    lines += [
        "",
        f"MCC of the nine BEND labels: {scores.mcc:.4f} over {int(scores.confusion.sum()):,} bases",
        f"reference genes: {cap.genes:,}, of which reachable by one path: "
        f"{cap.by_one_path:,} ({part:.2f} %; {cap.overlapping:,} overlap another gene)",
        *_strata_lines("span of CDS", scores.by_gene_length),
        *_strata_lines("coding exons", scores.by_exon_count),
    ]
    return "\n".join(lines)


def percentages(level: Level) -> tuple[str, str, str]:
    """Sensitivity, precision and F1 in per cent, "-" where there is nothing to count."""
    counts = (level.reference, level.predicted, level.reference or level.predicted)
    rates = (level.recall, level.precision, level.f1)
    recall, precision, f1 = (
        f"{100 * rate:.2f}" if count else "-" for rate, count in zip(rates, counts, strict=True)
    )
    return recall, precision, f1


def _strata_lines(name: str, strata: Sequence[Stratum]) -> list[str]:
    """A table of genes found by class, after an empty line; classes without genes left out."""
    return [
        "",
        f"{name:<14}{'genes':>11}{'found':>11}{'sens.':>8}",
        *(
            f"{each.name:<14}{each.reference:>11,}{each.found:>11,}{100 * each.recall:>8.2f}"
            for each in strata
            if each.reference
        ),
    ]


def to_json(scores: GeneScores) -> dict[str, Any]:
    """The scores as plain values; rates are fractions, 0 where nothing can be counted."""
    return {
        "levels": {
            name: {
                "sensitivity": level.recall,
                "precision": level.precision,
                "f1": level.f1,
                "reference": level.reference,
                "predicted": level.predicted,
                "matched_reference": level.found,
                "matched_predicted": level.right,
            }
            for name, level in scores.levels.items()
        },
        "mcc": scores.mcc,
        "labels": list(NINE_LABELS),
        "confusion": scores.confusion.tolist(),
        "reachable_by_one_path": {
            "genes": scores.cap.genes,
            "overlapping": scores.cap.overlapping,
            "reachable": scores.cap.by_one_path,
        },
        "exon_recall_by_length": _strata(scores.by_exon_length),
        "gene_recall_by_exon_count": _strata(scores.by_exon_count),
        "gene_recall_by_length": _strata(scores.by_gene_length),
    }


def _strata(strata: Sequence[Stratum]) -> list[dict[str, Any]]:
    return [
        {
            "class": each.name,
            "reference": each.reference,
            "found": each.found,
            "recall": each.recall,
        }
        for each in strata
    ]
