"""Loci to look at: genes of both sides that overlap, sorted by how well they agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from dnaannot.dna.transcript import Transcript, exon_bounds
from dnaannot.evaluate.gene_metrics import Feature, features, is_right
from dnaannot.evaluate.gene_sets import genes_of
from dnaannot.evaluate.intervals import Regions

_LEGIBLE_BP = 60_000
_LEGIBLE_ROWS = 12


class Verdict(str, Enum):
    """How prediction and reference agree in a locus."""

    RIGHT = "right"
    DIFFERENT = "different"
    MISSED = "missed"
    EXTRA = "not in the reference"


@dataclass(frozen=True)
class Locus:
    """Transcripts whose CDS spans overlap, on either strand.

    Attributes:
        start, end: 0-based, half-open extent of them all.
        reference, predicted: transcripts of distinct CDS, from left to right.
        verdict: whether every gene of both sides is right, one is not, or one side is empty.
    """

    sequence: str
    start: int
    end: int
    reference: tuple[Transcript, ...]
    predicted: tuple[Transcript, ...]
    verdict: Verdict


def find_loci(
    predicted: Sequence[Transcript],
    reference: Sequence[Transcript],
    regions: Regions | None = None,
) -> list[Locus]:
    """All loci, by sequence and coordinate; with `regions`, those that a region holds whole."""
    models = features("transcript", predicted, None), features("transcript", reference, None)
    sides = [(each, True) for each in predicted] + [(each, False) for each in reference]
    sides.sort(key=lambda item: (item[0].sequence, item[0].start, item[0].end))
    loci: list[Locus] = []
    cluster: list[tuple[Transcript, bool]] = []
    reach = 0
    for item in sides:
        transcript = item[0]
        if cluster and (transcript.sequence != cluster[0][0].sequence or transcript.start >= reach):
            loci.append(_locus(cluster, *models))
            cluster = []
        reach = max(reach, transcript.end) if cluster else transcript.end
        cluster.append(item)
    if cluster:
        loci.append(_locus(cluster, *models))
    if regions is not None:
        loci = [each for each in loci if regions.hold(each.sequence, each.start, each.end)]
    return loci


def _locus(
    cluster: list[tuple[Transcript, bool]], predicted: set[Feature], reference: set[Feature]
) -> Locus:
    ours = [transcript for transcript, is_predicted in cluster if is_predicted]
    theirs = [transcript for transcript, is_predicted in cluster if not is_predicted]
    everything = ours + theirs
    return Locus(
        everything[0].sequence,
        min(each.start for each in everything),
        max(each.end for each in everything),
        reference=_distinct(theirs),
        predicted=_distinct(ours),
        verdict=_verdict(
            [is_right(gene, predicted) for gene in genes_of(theirs).values()],
            [is_right(gene, reference) for gene in genes_of(ours).values()],
        ),
    )


def _distinct(transcripts: Iterable[Transcript]) -> tuple[Transcript, ...]:
    return tuple({(each.strand, exon_bounds(each)): each for each in transcripts}.values())


def _verdict(found: list[bool], right: list[bool]) -> Verdict:
    if not right:
        return Verdict.MISSED
    if not found:
        return Verdict.EXTRA
    return Verdict.RIGHT if all(found) and all(right) else Verdict.DIFFERENT


def choose_loci(loci: Sequence[Locus], count: int = 10) -> list[Locus]:
    """Up to `count` loci spread evenly over the genome, in order of the list.

    Each verdict is shown at least once if there is room, and else by its share of the loci.
    Loci too long or too crowded to be read are passed over where others of that verdict are
    left.
    """
    groups: dict[Verdict, list[int]] = defaultdict(list)
    for index, locus in enumerate(loci):
        groups[locus.verdict].append(index)
    legible = {
        verdict: [i for i in group if _is_legible(loci[i])] or group
        for verdict, group in groups.items()
    }
    chosen: list[int] = []
    for verdict, quota in _quotas(legible, {v: len(g) for v, g in groups.items()}, count).items():
        group = legible[verdict]
        chosen += [group[(2 * i + 1) * len(group) // (2 * quota)] for i in range(quota)]
    return [loci[index] for index in sorted(chosen)]


def _is_legible(locus: Locus) -> bool:
    rows = len(locus.reference) + len(locus.predicted)
    return locus.end - locus.start <= _LEGIBLE_BP and rows <= _LEGIBLE_ROWS


def _quotas(
    groups: dict[Verdict, list[int]], sizes: dict[Verdict, int], count: int
) -> dict[Verdict, int]:
    """How many of each group to take: one each, then one by one where the share is least met."""
    quotas = dict.fromkeys(sorted(groups, key=lambda verdict: -sizes[verdict])[:count], 1)
    while sum(quotas.values()) < count:
        open_groups = [verdict for verdict in quotas if quotas[verdict] < len(groups[verdict])]
        if not open_groups:
            break
        neediest = max(open_groups, key=lambda verdict: sizes[verdict] / quotas[verdict])
        quotas[neediest] += 1
    return quotas
