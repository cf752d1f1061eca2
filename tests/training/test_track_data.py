from __future__ import annotations

import numpy as np
import pytest

from dnaannot.datasets.tracks import UNKNOWN, is_known
from dnaannot.dna.interval import Interval
from dnaannot.dna.sequence import cpg_sites, decode
from dnaannot.dna.signature import signature
from dnaannot.errors import DataError
from dnaannot.formats.bigwig import Block, write_bigwig
from dnaannot.training.track_data import Assembly, read_track_data
from dnaannot.training.track_labels import LabelRules

LENGTH, WINDOW = 60_000, 512
RULES = LabelRules(WINDOW)


@pytest.fixture
def codes():
    return np.random.default_rng(3).integers(0, 4, LENGTH).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, codes):
    """A genome of two sequences and a file of peaks on both."""
    letters = decode(codes)
    (tmp_path / "genome.fa").write_text(f">a\n{letters}\n>b\n{letters[:20_000]}\n")
    lines = [f"{name}\t{at}\t{at + 300}\n" for name in "ab" for at in range(500, 20_000, 3000)]
    (tmp_path / "dnase__x.bed").write_text("track name=x\n" + "".join(lines))
    (tmp_path / "h3k4me1__x.bed").write_text("a\t1000\t4000\na\t30000\t33000\n")
    return tmp_path


def read(folder, *labels, rules=RULES, **options):
    assembly = Assembly([folder / "genome.fa"], [folder / name for name in labels])
    return read_track_data(assembly, rules, **options)


def windows(sequence):
    return zip(sequence.centres, sequence.targets, strict=True)


def test_peaks_label_every_bin_of_the_grid(folder):
    rules = LabelRules(WINDOW, tasks=[("h3k*", "histone"), ("*", "accessibility")])
    data = read(folder, "dnase__x.bed", "h3k4me1__x.bed", rules=rules)
    assert [(label.name, label.task) for label in data.labels] == [
        ("dnase__x", "accessibility"),
        ("h3k4me1__x", "histone"),
    ]
    sequence = data.train[0].sequence
    assert (np.diff(sequence.centres) == 128).all()
    for centre, (open_, histone) in windows(sequence):
        span = range(centre - 256, centre + 256)
        peaks = sum(len(range(max(a, span.start), min(a + 300, span.stop)))
                    for a in range(500, 20_000, 3000))  # fmt: skip
        marks = sum(len(range(max(a, span.start), min(a + 3000, span.stop)))
                    for a in (1000, 30_000))  # fmt: skip
        assert open_ == (peaks >= 50)
        assert histone == (marks >= 256)


def test_held_out_regions_keep_their_distance(folder):
    validation, excluded = [Interval("a", 0, 10_000)], [Interval("b", 0, 1 << 40)]
    data = read(folder, "h3k4me1__x.bed", validation=validation, excluded=excluded)
    assert [(r.sequence.name, r.start, r.end) for r in data.train] == [("a", 20_000, LENGTH)]
    assert [(r.sequence.name, r.start, r.end) for r in data.validation] == [("a", 0, 10_000)]
    assert data.counts["h3k4me1__x"]["validation_known"] == 10_000 // 128


def test_both_sides_of_a_held_out_region_keep_their_distance(folder):
    data = read(folder, "dnase__x.bed", validation=[Interval("a", 25_000, 35_000)])
    spans = [(r.start, r.end) for r in data.train if r.sequence.name == "a"]
    assert spans == [(0, 15_000), (45_000, LENGTH)]


def test_the_last_tenth_is_held_out_where_nothing_is_said(folder):
    data = read(folder, "h3k4me1__x.bed")
    assert [(r.sequence.name, r.start, r.end) for r in data.validation] == [("a", 54_000, LENGTH)]


def test_what_is_trained_on_is_signed_by_genome_file(folder, codes):
    (folder / "other").mkdir()
    (folder / "other" / "genome.fa").write_text(">c\n" + "ACGT" * 10_000 + "\n")
    genomes = [folder / "genome.fa", folder / "other" / "genome.fa"]
    with (folder / "dnase__x.bed").open("a") as stream:
        stream.write("c\t500\t900\nc\t30000\t30400\n")
    assembly = Assembly(genomes, [folder / "dnase__x.bed"])
    excluded = [Interval("b", 0, 20_000), Interval("a", 40_000, LENGTH)]
    data = read_track_data(assembly, RULES, [Interval("c", 0, 9_000)], excluded)
    names = ["genome.fa", "other/genome.fa"]
    assert list(data.signatures.signatures) == names
    expected = signature([codes[:30_000]]), signature([np.arange(21_000, dtype=np.uint8) % 4])
    for found, signed in zip(data.signatures.signatures.values(), expected, strict=True):
        assert found == pytest.approx(signed, abs=5.1e-4)
    excluded.append(Interval("c", 0, 40_000))
    data = read_track_data(assembly, RULES, [Interval("a", 0, 5_000)], excluded)
    assert list(data.signatures.signatures) == names[:1]


def test_nothing_held_out_is_refused(folder):
    regions = [Interval("a", 0, 9_000)]
    with pytest.raises(DataError, match="nothing is held out"):
        read(folder, "dnase__x.bed", validation=regions, excluded=regions)


def test_another_assembly_is_validated_on_whole(folder, tmp_path, codes):
    other = tmp_path / "other"
    other.mkdir()
    (other / "genome.fa").write_text(f">c\n{decode(codes[::-1][:30_000])}\n")
    (other / "dnase__x.narrowPeak").write_text("c\t500\t900\n")
    held_out = Assembly([other / "genome.fa"], [other / "dnase__x.narrowPeak"])
    data = read(folder, "dnase__x.bed", "h3k4me1__x.bed", held_out=held_out)
    assert [r.sequence.name for r in data.validation] == ["c"]
    targets = data.validation[0].sequence.targets
    assert targets[:, 0].sum() > 0
    assert (targets[:, 1] == UNKNOWN).all()
    assert len(data.train) == 2


def test_targets_of_both_assemblies_are_of_one_type(folder, tmp_path):
    write_bigwig(folder / "s.bw", {"a": LENGTH}, [Block("a", 0, np.ones(LENGTH, np.float32))])
    labels = ("dnase__x.bed", "s.bw")
    letters = (folder / "genome.fa").read_text()
    (folder / "other.fa").write_text(letters.lower())
    held_out = Assembly([folder / "other.fa"], [folder / "dnase__x.bed"])
    data = read(folder, *labels, validation=[Interval("a", 0, 9_000)], held_out=held_out)
    regions = [*data.train, *data.validation]
    assert {region.sequence.targets.dtype for region in regions} == {np.dtype(np.float32)}
    absent = np.concatenate([region.sequence.targets[:, 1] for region in data.validation[1:]])
    assert len(absent) > 500
    assert np.isnan(absent).all()


def test_a_genome_trained_on_is_not_validated_on_whole(folder):
    (folder / "copy.fa").write_bytes((folder / "genome.fa").read_bytes())
    held_out = Assembly([folder / "copy.fa"], [folder / "dnase__x.bed"])
    with pytest.raises(DataError, match=r"copy\.fa: is a genome to train on"):
        read(folder, "dnase__x.bed", held_out=held_out)


def test_a_quantity_that_no_training_region_has_is_refused(folder):
    write_bigwig(folder / "s.bw", {"b": 20_000}, [Block("b", 0, np.ones(20_000, np.float32))])
    with pytest.raises(DataError, match="'s' has no value in the training regions"):
        read(folder, "s.bw", validation=[Interval("b", 0, 20_000)])


def test_methylation_is_learned_at_cpgs(folder, codes):
    sites = cpg_sites(codes)[:60]
    shares = [(0, 20)[n % 2] if n % 3 else 10 for n in range(60)]
    lines = [f"a\t{at}\t{at + 2}\t.\t20\t.\t{at}\t{at + 2}\t0,0,0\t20\t{5 * share}\n"
             for at, share in zip(sites, shares, strict=True)]  # fmt: skip
    (folder / "wgbs.bed").write_text("".join(lines))
    expected = [{0: 0, 20: 1}.get(share, UNKNOWN) for share in shares]
    hard = read(folder, "wgbs.bed")
    assert (hard.sites, hard.labels[0].task) == ("cpg", "methylation")
    sequence = hard.train[0].sequence
    np.testing.assert_array_equal(sequence.centres, sites)
    assert sequence.targets[:, 0].tolist() == expected
    soft = read(folder, "wgbs.bed", rules=LabelRules(WINDOW, is_soft=True))
    found = soft.train[0].sequence.targets[:, 0]
    np.testing.assert_allclose(found, np.array(shares) / 20, atol=1e-6)


def test_a_sequence_where_one_file_has_too_few_reads_is_unknown_there(folder, codes):
    sites = cpg_sites(codes[:20_000])[:20]
    for name, reads in (("x", 20), ("y", 2)):
        lines = [f"{on}\t{at}\t{at + 2}\t.\t0\t.\t0\t0\t0\t{depth}\t{100 * (n % 2)}\n"
                 for on, depth in (("a", 20), ("b", reads))
                 for n, at in enumerate(sites)]  # fmt: skip
        (folder / f"{name}.bedmethyl").write_text("".join(lines))
    b = read(folder, "x.bedmethyl", "y.bedmethyl").train[1].sequence
    np.testing.assert_array_equal(b.centres, sites)
    assert b.targets[:, 0].tolist() == [n % 2 for n in range(20)]
    assert (b.targets[:, 1] == UNKNOWN).all()


def bedmethyl_lines(name, sites):
    return [f"{name}\t{at}\t{at + 2}\t.\t20\t.\t0\t0\t0\t20\t{100 * (n % 2)}\n"
            for n, at in enumerate(sites)]  # fmt: skip


def test_whether_sites_are_cpgs_is_judged_by_the_whole_file(folder, codes):
    """A donor's own CpGs can be most of what a short sequence has."""
    lines = bedmethyl_lines("a", cpg_sites(codes)[:90])
    (folder / "x.bedmethyl").write_text("".join(lines + bedmethyl_lines("b", [3, 5, 7])))
    assert not np.isin([3, 5, 7], cpg_sites(codes)).any()
    assert [len(r.sequence.centres) for r in read(folder, "x.bedmethyl").train] == [90]
    wrong = bedmethyl_lines("b", range(3, 90))
    (folder / "x.bedmethyl").write_text("".join(lines + wrong))
    with pytest.raises(DataError, match="of 177 sites"):
        read(folder, "x.bedmethyl")


def test_methylation_beyond_the_end_is_of_another_assembly(folder, codes):
    lines = bedmethyl_lines("a", cpg_sites(codes)[:90]) + bedmethyl_lines("a", [LENGTH])
    (folder / "x.bedmethyl").write_text("".join(lines))
    with pytest.raises(DataError, match=f"ends at {LENGTH + 1:,} of 'a'"):
        read(folder, "x.bedmethyl")


def test_intervals_do_not_tell_methylation(folder):
    with pytest.raises(DataError, match="made of intervals"):
        read(folder, "dnase__x.bed", rules=LabelRules(WINDOW, tasks=[("*", "methylation")]))


@pytest.mark.parametrize("before", [256, 255])
def test_methylation_windows_are_of_the_cpg_in_their_middle(folder, codes, before):
    sites = cpg_sites(codes)[20:50]
    lines = [f"a\t{at - before}\t{at - before + 512}\t{n % 2}\n" for n, at in enumerate(sites)]
    (folder / "w.tsv").write_text("chrom\tstart\tend\tIMR90\n" + "".join(lines))
    data = read(folder, "w.tsv", rules=LabelRules(WINDOW, tasks=[("*", "methylation")]))
    sequence = data.train[0].sequence
    np.testing.assert_array_equal(sequence.centres, sites)
    assert sequence.targets[:, 0].tolist() == [n % 2 for n in range(30)]


def test_windows_of_several_labels(folder):
    (folder / "w.tsv").write_text(
        "chrom\tstart\tend\tH3\tmean\tH4\na\t1000\t1500\t1\t.2\t.\na\t400\t900\t0:dev\t1\t1:test\n"
    )
    data = read(folder, "w.tsv")
    assert data.notes[0] == f"{folder / 'w.tsv'}: columns without labels are passed over: 'mean'."
    sequence = data.train[0].sequence
    assert sequence.centres.tolist() == [650, 1250]
    assert sequence.targets.tolist() == [[0, 1], [1, UNKNOWN]]


def test_windows_of_one_middle_that_disagree_are_unknown(folder):
    rows = [(1000, 1500, "1", "."), (1100, 1400, "0", "1"), (400, 900, "1", "0"),
            (1200, 1300, "1", "1"), (500, 800, "1", "."), (2000, 2500, ".", "."),
            (2100, 2400, ".", ".")]  # fmt: skip
    lines = "".join(f"a\t{a}\t{b}\t{x}\t{y}\n" for a, b, x, y in rows)
    (folder / "w.tsv").write_text("chrom\tstart\tend\tH3\tH4\n" + lines)
    sequence = read(folder, "w.tsv").train[0].sequence
    assert sequence.centres.tolist() == [650, 1250, 2250]
    assert sequence.targets.tolist() == [[1, 0], [UNKNOWN, 1], [UNKNOWN, UNKNOWN]]


@pytest.mark.parametrize("window", [90, 500, 512])
def test_a_signal_is_the_log_of_its_mean_over_the_window(folder, window):
    values = np.zeros(LENGTH, np.float32)
    values[10_000:10_600] = 7.0
    values[10_300:10_350] = np.nan
    write_bigwig(folder / "s.bw", {"a": LENGTH}, [Block("a", 0, values)])
    data = read(folder, "s.bw", rules=LabelRules(window))
    assert data.labels[0].kind == "quantity"
    values = np.nan_to_num(values)
    for centre, (value,) in windows(data.train[0].sequence):
        low, high = max(0, centre - window // 2), min(LENGTH, centre + window // 2)
        assert value == pytest.approx(np.log1p(values[low:high].mean()), abs=1e-4)


def test_a_signal_without_values_on_a_sequence_tells_nothing_of_it(folder):
    blocks = [Block("a", 0, np.ones(LENGTH, np.float32))]
    write_bigwig(folder / "s.bw", {"a": LENGTH, "b": 20_000}, blocks)
    data = read(folder, "s.bw")
    assert [region.sequence.name for region in data.train] == ["a"]


def test_peaks_tell_nothing_of_sequences_that_they_do_not_name(folder):
    (folder / "dnase__x.bed").write_text("a\t500\t900\nz\t0\t100\n")
    data = read(folder, "dnase__x.bed")
    assert [region.sequence.name for region in data.train] == ["a"]
    data = read(folder, "dnase__x.bed", excluded=[Interval("b", 0, 10)])
    assert [region.sequence.name for region in data.validation] == ["a"]
    assert data.notes == [
        "labels are also of sequences that are in no genome: 'z'",
        "no label file speaks of 'b', left out",
    ]


def test_two_validation_files_of_one_label_are_refused(folder):
    paths = [folder / "dnase__x.bed", folder / "dnase__x.narrowPeak"]
    paths[1].write_text("c\t500\t900\n")
    (folder / "other.fa").write_text(">c\n" + "ACGT" * 1000 + "\n")
    with pytest.raises(DataError, match="two files hold the label 'dnase__x'"):
        read(folder, "dnase__x.bed", held_out=Assembly([folder / "other.fa"], paths))


def test_a_signal_may_have_a_threshold(folder):
    values = np.zeros(LENGTH, np.float32)
    values[10_000:10_600] = 7.0
    write_bigwig(folder / "s.bw", {"a": LENGTH}, [Block("a", 0, values)])
    data = read(folder, "s.bw")
    assert [region.sequence.name for region in data.train] == ["a"]
    hard = read(folder, "s.bw", rules=LabelRules(WINDOW, threshold=3.5))
    np.testing.assert_array_equal(
        hard.train[0].sequence.targets[:, 0],
        data.train[0].sequence.targets[:, 0] >= np.log1p(np.float32(3.5)),
    )
    assert {region.sequence.targets.dtype for region in hard.train} == {np.dtype(np.uint8)}


def test_means_and_variances_are_of_what_is_trained_on(folder):
    values = np.random.default_rng(5).gamma(2, 3, LENGTH).astype(np.float32)
    write_bigwig(folder / "s.bw", {"a": LENGTH}, [Block("a", 0, values)])
    data = read(folder, "s.bw", validation=[Interval("a", 20_000, 30_000)])
    known = np.concatenate([r.sequence.targets[r.rows, 0] for r in data.train])
    known = known[is_known(known)]
    assert 0 < len(known) < (LENGTH - 10_000) / 128
    assert data.rates == pytest.approx([known.mean()])
    assert data.variances == pytest.approx([known.astype(float).var()])


def test_rates_are_of_what_is_trained_on(folder):
    data = read(folder, "dnase__x.bed", "h3k4me1__x.bed", validation=[Interval("a", 0, 10_000)])
    regions = [region.sequence.targets[region.rows] for region in data.train]
    table = np.ma.masked_equal(np.concatenate(regions), UNKNOWN)
    assert 0 < table.mean() < 1
    assert data.rates == pytest.approx(table.mean(axis=0).tolist())
    assert data.variances == [0, 0]


def test_matched_negatives_leave_the_rest_unknown(folder):
    validation = [Interval("a", 0, 9_000)]
    data = read(folder, "dnase__x.bed", validation=validation, negatives=2)
    for region in data.train:
        column = region.sequence.targets[:, 0]
        assert (column == 0).sum() <= 2 * (column == 1).sum()
    assert data.counts["dnase__x"]["known"] < 4 * data.counts["dnase__x"]["positives"]
    (held_out,) = data.validation  # calibration needs the true base rate
    (whole,) = read(folder, "dnase__x.bed", validation=validation).validation
    np.testing.assert_array_equal(
        held_out.sequence.targets[held_out.rows], whole.sequence.targets[whole.rows]
    )


def test_names_that_the_genome_does_not_have_are_told(folder):
    (folder / "atac__y.bed").write_text("chra\t5\t900\n")
    with pytest.raises(DataError, match="chr"):
        read(folder, "atac__y.bed")


def test_peaks_of_another_assembly_are_refused(folder):
    (folder / "atac__y.bed").write_text(f"a\t500\t900\na\t{LENGTH - 100}\t{LENGTH + 1}\n")
    with pytest.raises(DataError, match="line 2: An interval ends at 60,001 of 'a'"):
        read(folder, "atac__y.bed")


def test_a_label_without_positives_is_refused(folder):
    (folder / "atac__y.bed").write_text("a\t5\t30\n")
    with pytest.raises(DataError, match="'atac__y' has no positive"):
        read(folder, "atac__y.bed")


def test_what_a_label_is_about_must_be_told(folder):
    """A mark's peaks have a rule of their own."""
    (folder / "y.bed").write_text("a\t500\t900\n")
    with pytest.raises(DataError, match=r"y\.bed: what is the label 'y' about\? .*--task 'y="):
        read(folder, "y.bed")
    write_bigwig(folder / "s.bw", {"a": LENGTH}, [Block("a", 0, np.ones(LENGTH, np.float32))])
    rules = LabelRules(WINDOW, tasks=[("y", "faire")])
    labels = read(folder, "y.bed", "s.bw", "h3k4me1__x.bed", rules=rules).labels
    assert [label.task for label in labels] == ["faire", "signal", "histone"]


def test_two_labels_of_one_name_are_refused(folder):
    (folder / "dnase__x.narrowPeak").write_text("a\t5\t900\n")
    with pytest.raises(DataError, match="two labels"):
        read(folder, "dnase__x.bed", "dnase__x.narrowPeak")


def test_grid_and_sites_do_not_mix(folder):
    (folder / "w.tsv").write_text("chrom\tstart\tend\tH3\na\t1000\t1500\t1\n")
    with pytest.raises(DataError, match="Train a model of each kind"):
        read(folder, "dnase__x.bed", "w.tsv")


def test_a_region_on_no_sequence_is_refused(folder):
    with pytest.raises(DataError, match="'chr9'"):
        read(folder, "dnase__x.bed", validation=[Interval("chr9", 0, 5)])


def test_hashes_name_every_file(folder):
    assert set(read(folder, "dnase__x.bed").hashes) == {"genome.fa", "dnase__x.bed"}
