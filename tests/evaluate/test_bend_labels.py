"""Labels against the definition written per base, MCC against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import matthews_corrcoef

from dnaannot.datasets.genes import label_sequence
from dnaannot.dna.grammar import UNKNOWN, gene_grammar
from dnaannot.dna.nine_labels import nine_of
from dnaannot.dna.sequence import mark_gaps
from dnaannot.dna.transcript import Strand, Transcript, with_phases
from dnaannot.errors import DataError
from dnaannot.evaluate.bend_labels import (
    OTHER,
    bend_labels,
    confusion,
    from_bend_labels,
    matthews,
)
from dnaannot.evaluate.gene_sets import representatives
from dnaannot.evaluate.intervals import Regions
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.gff import read_annotation

LETTERS = "CDIA" + "cdia" + "."


def model(intervals, strand="+", sequence="s", **changes):
    strand = Strand(strand)
    return Transcript(sequence, strand, with_phases(intervals, strand), **changes)


def spelled(transcripts, length):
    return "".join(LETTERS[label] for label in bend_labels(transcripts, length))


def test_plus_strand_labels_the_g_of_gt_and_of_ag():
    bases = b"..ATGGTAAGCAGCCCTAA.."
    labels = spelled([model([(2, 5), (13, 19)])], len(bases))
    assert labels == "..CCCDIIIIIIACCC....."
    assert bases[labels.index("D") :].startswith(b"GT")
    assert bases[: labels.index("A") + 1].endswith(b"AG")


def test_minus_strand_is_the_mirror_of_the_plus_strand():
    length = 40
    intervals = [(3, 10), (20, 22), (30, 37)]
    mirrored = [(length - end, length - start) for start, end in reversed(intervals)]
    plus = spelled([model(intervals)], length)
    assert spelled([model(mirrored, "-")], length) == plus[::-1].swapcase()


def test_a_stop_codon_split_by_an_intron_is_other_in_both_exons():
    assert spelled([model([(0, 5), (9, 11)])], 12) == "CCCC.DIIA..."
    assert spelled([model([(1, 3), (7, 12)], "-")], 12) == "...aiid.cccc"


def test_a_gene_without_a_stop_is_coding_to_its_end():
    assert spelled([model([(1, 7)], has_stop=False)], 9) == ".CCCCCC.."


def test_a_gene_inside_an_intron_keeps_its_labels_and_its_stop():
    host = model([(0, 6), (20, 29)])
    nested = model([(8, 17)], "-")
    assert spelled([host, nested], 30) == "CCCCCCDI...ccccccIIACCCCCC...."
    assert spelled([nested, host], 30) == spelled([host, nested], 30)


def test_of_two_overlapping_exons_the_longer_cds_wins_in_any_order():
    long, short = model([(0, 12)], has_stop=False), model([(9, 15)], "-", has_stop=False)
    assert spelled([long, short], 15) == spelled([short, long], 15) == "CCCCCCCCCCCCccc"


def test_a_transcript_past_the_sequence_end_is_refused():
    with pytest.raises(DataError, match="ends at base 12 of 's', which has 10"):
        bend_labels([model([(3, 12)], name="t1")], 10)


def test_confusion_counts_every_base_once_and_only_inside_regions():
    reference, predicted = [model([(2, 14)])], [model([(2, 20)])]
    lengths = {"s": 100, "empty": 50}
    counts = confusion(predicted, reference, lengths)
    assert counts.sum() == 150
    assert counts[0, 0] == 9
    assert counts[OTHER, 0] == 6
    regions = Regions.of_intervals([("s", 0, 5), ("s", 11, 13), ("elsewhere", 0, 9)])
    counts = confusion(predicted, reference, lengths, regions)
    assert (counts.sum(), counts[0, 0], counts[OTHER, 0]) == (7, 3, 2)


def test_genes_on_a_sequence_without_length_are_refused():
    with pytest.raises(DataError, match="'s'"):
        confusion([model([(2, 14)])], [], {"t": 100})


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_matthews_equals_scikit_learn(seed, n_labels):
    generator = np.random.default_rng(seed)
    reference = generator.integers(0, n_labels, 300)
    noise = generator.integers(0, 9, 300)
    predicted = np.where(generator.random(300) < 0.6, reference, noise)
    counts = np.zeros((9, 9), np.int64)
    np.add.at(counts, (reference, predicted), 1)
    assert matthews(counts) == pytest.approx(matthews_corrcoef(reference, predicted), abs=1e-12)


def test_matthews_of_a_mammalian_genome_does_not_overflow():
    small = np.diag([30, 1, 40, 1, 30, 1, 40, 1, 2000])
    small[8, 0] = small[0, 8] = 7
    assert matthews(small * 10**7) == pytest.approx(matthews(small))


def test_streamed_labels_equal_scikit_learn_on_whole_arrays():
    reference = [model([(100, 400), (900, 1300)]), model([(2000, 2600)], "-")]
    predicted = [model([(100, 401), (900, 1300)]), model([(1950, 2600)], "-")]
    whole = [bend_labels(each, 4000) for each in (reference, predicted)]
    streamed = matthews(confusion(predicted, reference, {"s": 4000}))
    assert streamed == pytest.approx(matthews_corrcoef(*whole), abs=1e-12)


@st.composite
def separate_models(draw):
    """Complete transcripts side by side, at least four bases apart, as in one decoded path."""
    models, at = [], 4
    for _ in range(draw(st.integers(1, 4))):
        lengths = draw(st.lists(st.integers(4, 30), min_size=1, max_size=4))
        lengths[-1] += (-sum(lengths)) % 3
        intervals = []
        for length in lengths:
            intervals.append((at, at + length))
            at += length + draw(st.integers(3, 40))
        models.append(model(intervals, draw(st.sampled_from("+-"))))
        at += 4
    return models, at + 4


@given(separate_models())
def test_transcripts_come_back_from_their_labels(case):
    models, length = case
    assert from_bend_labels(bend_labels(models, length), "s") == models


def test_a_gene_without_its_stop_codon_comes_back_partial():
    (found,) = from_bend_labels(np.array([OTHER, 0, 0, 0, 0, 0, 0], np.uint8), "s")
    assert (found.start, found.end, found.has_stop) == (1, 7, False)


@pytest.mark.parametrize("name", ["human_chr19_150kb", "zymoseptoria_chr13_150kb"])
def test_labels_of_the_gene_grammar_project_onto_those_of_transcripts(test_data, name):
    (record,) = read_fasta(test_data / f"{name}.fa.gz")
    annotated = read_annotation(test_data / f"{name}.gff3.gz").transcripts
    chosen = representatives([each.transcript for each in annotated])
    codes = mark_gaps(record.codes, 50)
    labels = label_sequence(record.name, codes, chosen, gene_grammar()).labels
    found, expected = nine_of(labels[None])[0], bend_labels(chosen, len(codes))
    known = (labels != UNKNOWN) & (found != UNKNOWN)
    assert (found[known] == expected[known]).all()
    assert len(np.unique(found[known])) == 9
