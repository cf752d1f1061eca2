"""How many genes, exons and bases of a reference a prediction finds, and how many are right.

Everything is counted on the CDS, stop codon included, with exact boundaries, as `gffcompare
-e 0 --strict-match` (Pertea & Pertea, F1000Research 2020) counts it on input that holds CDS
features alone:

- nucleotide: bases in the union of the CDS, each strand by itself;
- exon, intron, start, stop, donor, acceptor: distinct (sequence, strand, start, end);
- intron chain: distinct lists of all introns of a transcript that has any;
- transcript: distinct lists of all coding exons;
- gene: a gene is right when the CDS of one of its transcripts is exactly that of a transcript
  of the other side.

gffcompare 0.12.10 gives the same figures on a reference without alternative transcripts. Beside
alternative ones it differs by tenths of a percent, as it sets aside transcripts that another with
the same introns contains, and counts chains once for each transcript; it drops single exons of
up to 10 bases; and its locus level joins the genes of one strand that overlap.

With regions, a feature counts where one region holds it whole (a gene: all its transcripts)
and is left out of both sides where it crosses a region's boundary; bases are clipped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from dnaannot.dna.transcript import Strand, Transcript, exon_bounds, representative
from dnaannot.evaluate.gene_sets import whole_genes
from dnaannot.evaluate.intervals import Regions, bases, shared_bases, union


class Level(NamedTuple):
    """Counts at one level of gene structure.

    Attributes:
        reference, predicted: how many each side has.
        found: how many of the reference are predicted.
        right: how many of the predicted are in the reference; other than `found` only for
            genes, where one gene may match two.
    """

    reference: int
    predicted: int
    found: int
    right: int

    @property
    def recall(self) -> float:
        """Sensitivity: part of the reference that is predicted; 0 where there is none."""
        return self.found / self.reference if self.reference else 0.0

    @property
    def precision(self) -> float:
        """Part of the predicted that is in the reference; 0 where nothing is predicted."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision; 0 where both are."""
        total = self.recall + self.precision
        return 2 * self.recall * self.precision / total if total else 0.0


class Feature(NamedTuple):
    """What is compared: equal features match.

    Attributes:
        start, end: 0-based, half-open extent.
        parts: bounds of its exons or introns, empty where the extent says all.
    """

    sequence: str
    strand: Strand
    start: int
    end: int
    parts: tuple[tuple[int, int], ...] = ()


def _whole(transcript: Transcript) -> Iterator[Feature]:
    yield Feature(
        transcript.sequence,
        transcript.strand,
        transcript.start,
        transcript.end,
        exon_bounds(transcript),
    )


def _exons(transcript: Transcript) -> Iterator[Feature]:
    for exon in transcript.exons:
        yield Feature(transcript.sequence, transcript.strand, exon.start, exon.end)


def _gaps(transcript: Transcript) -> tuple[tuple[int, int], ...]:
    """Introns; exons that touch, as some annotations write a frameshift, have none between."""
    return tuple((start, end) for start, end in transcript.introns if start < end)


def _introns(transcript: Transcript) -> Iterator[Feature]:
    for start, end in _gaps(transcript):
        yield Feature(transcript.sequence, transcript.strand, start, end)


def _intron_chain(transcript: Transcript) -> Iterator[Feature]:
    introns = _gaps(transcript)
    if introns:
        extent = introns[0][0], introns[-1][1]
        yield Feature(transcript.sequence, transcript.strand, *extent, introns)


def _splice_sites(transcript: Transcript, left_on: Strand) -> Iterator[Feature]:
    """The outermost base of each intron: the left one on strand `left_on`, else the right one."""
    for start, end in _gaps(transcript):
        at = start if transcript.strand is left_on else end - 1
        yield Feature(transcript.sequence, transcript.strand, at, at + 1)


def _donors(transcript: Transcript) -> Iterator[Feature]:
    return _splice_sites(transcript, Strand.PLUS)


def _acceptors(transcript: Transcript) -> Iterator[Feature]:
    return _splice_sites(transcript, Strand.MINUS)


def _start_codon(transcript: Transcript) -> Iterator[Feature]:
    if transcript.has_start:
        at = transcript.start if transcript.strand is Strand.PLUS else transcript.end - 1
        yield Feature(transcript.sequence, transcript.strand, at, at + 1)


def _stop_codon(transcript: Transcript) -> Iterator[Feature]:
    if transcript.has_stop:
        at = transcript.end - 1 if transcript.strand is Strand.PLUS else transcript.start
        yield Feature(transcript.sequence, transcript.strand, at, at + 1)


_FEATURES: dict[str, Callable[[Transcript], Iterator[Feature]]] = {
    "start codon": _start_codon,
    "stop codon": _stop_codon,
    "donor": _donors,
    "acceptor": _acceptors,
    "exon": _exons,
    "intron": _introns,
    "intron chain": _intron_chain,
    "transcript": _whole,
}
LEVELS: tuple[str, ...] = ("nucleotide", *_FEATURES, "gene")
"""Names of the levels, from the base to the gene."""


def features(
    level: str, transcripts: Iterable[Transcript], regions: Regions | None
) -> set[Feature]:
    """Distinct features of a level other than nucleotide and gene, inside `regions` if given."""
    found = {feature for each in transcripts for feature in _FEATURES[level](each)}
    if regions is None:
        return found
    return {each for each in found if regions.hold(each.sequence, each.start, each.end)}


def compare(
    predicted: Sequence[Transcript],
    reference: Sequence[Transcript],
    regions: Regions | None = None,
) -> dict[str, Level]:
    """Counts at each of `LEVELS`.

    Args:
        predicted, reference: all transcripts of the two annotations, alternative ones too.
        regions: the part of the genome that counts, all of it by default.
    """
    levels = {"nucleotide": _compare_bases(predicted, reference, regions)}
    for name in _FEATURES:
        ours, theirs = (features(name, each, regions) for each in (predicted, reference))
        matched = len(ours & theirs)
        levels[name] = Level(len(theirs), len(ours), matched, matched)
    levels["gene"] = _compare_genes(predicted, reference, regions)
    return levels


def _compare_bases(
    predicted: Sequence[Transcript], reference: Sequence[Transcript], regions: Regions | None
) -> Level:
    def coding(transcripts: Sequence[Transcript]) -> dict[tuple[str, Strand], set[tuple[int, int]]]:
        exons: dict[tuple[str, Strand], set[tuple[int, int]]] = defaultdict(set)
        for each in transcripts:
            exons[each.sequence, each.strand].update(exon_bounds(each))
        return exons

    ours, theirs = coding(predicted), coding(reference)
    n_reference = n_predicted = n_shared = 0
    for place in ours.keys() | theirs.keys():
        one, other = (union(each.get(place, ())) for each in (ours, theirs))
        if regions is not None:
            one, other = (regions.clip(place[0], each) for each in (one, other))
        n_predicted += bases(one)
        n_reference += bases(other)
        n_shared += shared_bases(one, other)
    return Level(n_reference, n_predicted, n_shared, n_shared)


def _compare_genes(
    predicted: Sequence[Transcript], reference: Sequence[Transcript], regions: Regions | None
) -> Level:
    ours, theirs = (whole_genes(each, regions) for each in (predicted, reference))
    n_found = count_right(theirs.values(), features("transcript", predicted, regions))
    n_right = count_right(ours.values(), features("transcript", reference, regions))
    return Level(len(theirs), len(ours), n_found, n_right)


def is_right(gene: Iterable[Transcript], models: Collection[Feature]) -> bool:
    """Whether the CDS of one of a gene's transcripts is exactly one of `models`."""
    return any(feature in models for each in gene for feature in _whole(each))


def count_right(genes: Iterable[Iterable[Transcript]], models: Collection[Feature]) -> int:
    """How many genes are right by `is_right`."""
    return sum(is_right(gene, models) for gene in genes)


# --- where recall is lost -------------------------------------------------------------------


class Stratum(NamedTuple):
    """A class of reference features.

    Attributes:
        name: such as '51-100'.
        reference: how many the reference has.
        found: how many of them are predicted.
    """

    name: str
    reference: int
    found: int

    @property
    def recall(self) -> float:
        """Part that is predicted; 0 where there is none."""
        return self.found / self.reference if self.reference else 0.0


EXON_LENGTH_BOUNDS = (50, 100, 150, 200, 300, 500, 1000)
EXON_COUNT_BOUNDS = (1, 2, 3, 4, 6, 9, 14)
GENE_KILOBASE_BOUNDS = (2, 5, 10, 30, 100)
"""Greatest value of each class but the last, which has no end."""


def _class_names(bounds: tuple[int, ...]) -> list[str]:
    lower = [1, *(bound + 1 for bound in bounds[:-1])]
    names = [
        str(high) if low == high else f"{low}-{high}"
        for low, high in zip(lower, bounds, strict=True)
    ]
    return [*names, f"> {bounds[-1]}"]


def _kilobase_names(bounds: tuple[int, ...]) -> list[str]:
    names = [f"{low}-{high} kb" for low, high in zip((0, *bounds[:-1]), bounds, strict=True)]
    return [*names, f"> {bounds[-1]} kb"]


def _stratify(
    values: Iterable[tuple[float, bool]], bounds: tuple[int, ...], names: Sequence[str]
) -> list[Stratum]:
    totals, hits = [0] * (len(bounds) + 1), [0] * (len(bounds) + 1)
    for value, found in values:
        index = sum(value > bound for bound in bounds)
        totals[index] += 1
        hits[index] += found
    return [Stratum(*row) for row in zip(names, totals, hits, strict=True)]


def recall_by_exon_length(
    predicted: Sequence[Transcript],
    reference: Sequence[Transcript],
    regions: Regions | None = None,
) -> list[Stratum]:
    """Recall of the reference's distinct exons by their length in bases."""
    ours, theirs = (features("exon", each, regions) for each in (predicted, reference))
    found = ((e.end - e.start, e in ours) for e in theirs)
    return _stratify(found, EXON_LENGTH_BOUNDS, _class_names(EXON_LENGTH_BOUNDS))


def recall_by_exon_count(
    predicted: Sequence[Transcript],
    reference: Sequence[Transcript],
    regions: Regions | None = None,
) -> list[Stratum]:
    """Recall of the reference's genes by the coding exons of their `representative`."""
    found = _found_genes(predicted, reference, regions)
    counts = ((len(gene.exons), is_found) for gene, is_found in found)
    return _stratify(counts, EXON_COUNT_BOUNDS, _class_names(EXON_COUNT_BOUNDS))


def recall_by_gene_length(
    predicted: Sequence[Transcript],
    reference: Sequence[Transcript],
    regions: Regions | None = None,
) -> list[Stratum]:
    """Recall of the reference's genes by kilobases from start to stop codon, introns included.

    The length is that of their `representative`; a class holds its upper bound.
    """
    found = _found_genes(predicted, reference, regions)
    lengths = (((gene.end - gene.start) / 1000, is_found) for gene, is_found in found)
    return _stratify(lengths, GENE_KILOBASE_BOUNDS, _kilobase_names(GENE_KILOBASE_BOUNDS))


def _found_genes(
    predicted: Sequence[Transcript], reference: Sequence[Transcript], regions: Regions | None
) -> Iterator[tuple[Transcript, bool]]:
    """The `representative` of each gene of the reference, and whether the gene is predicted."""
    models = features("transcript", predicted, regions)
    for gene in whole_genes(reference, regions).values():
        yield representative(gene), is_right(gene, models)
