from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from dnaannot.dna.interval import Interval
from dnaannot.dna.sequence import cpg_sites, encode
from dnaannot.errors import DataError
from dnaannot.evaluate.intervals import Regions
from dnaannot.evaluate.track_inputs import pair_up, read_genome_facts, read_predictions
from dnaannot.evaluate.track_points import TrackRules
from dnaannot.evaluate.tracks import means, score_tracks, to_json
from dnaannot.evaluate.tracks_report import to_text, tracks_page
from dnaannot.formats.bigwig import Block, write_bigwig
from dnaannot.formats.track_table import Row, read_table, write_table

SIZES = {"chr1": 40_000, "chr2": 10_111, "chr3": 5_000}
WINDOWS = {name: size // 512 for name, size in SIZES.items()}


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """A genome of random bases with a gap, and its sequences as codes."""
    random = np.random.default_rng(1)
    letters = {name: random.choice(list("ACGGCT"), size) for name, size in SIZES.items()}
    letters["chr1"][20_000:22_000] = "N"
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text("".join(f">{name}\n{''.join(each)}\n" for name, each in letters.items()))
    return path, {name: encode("".join(each).encode()) for name, each in letters.items()}


@pytest.fixture
def folder(tmp_path):
    """A folder of two predicted tracks on bins of 128 bases, and their values."""
    random = np.random.default_rng(2)
    path = tmp_path / "tracks"
    path.mkdir()
    rows, values = [], {}
    for task, label in (("accessibility", "dnase__a"), ("histone", "h3k4me3__a")):
        values[label] = {
            name: random.random(-(-size // 128)).astype(np.float32) for name, size in SIZES.items()
        }
        blocks = [Block(name, 0, each, step=128) for name, each in values[label].items()]
        write_bigwig(path / f"{label}.bw", SIZES, blocks)
        rows.append(Row(f"{label}.bw", "bigwig", task, label, "m", "probability", "every 128 bp"))
    write_table(path, rows)
    return path, values


def middle_values(values):
    """Values (W,) of whole windows of 512, as read at their middle, between two bins."""
    return np.concatenate(
        [
            (values[name][1 : 4 * n : 4] + values[name][2 : 4 * n : 4]) / 2
            for name, n in WINDOWS.items()
            if name != "chr3"
        ]
    )


PEAKS = [("chr1", 0, 50), ("chr1", 5_120, 5_400), ("chr1", 6_000, 6_049), ("chr2", 512, 1_200)]


def write_peaks(path, peaks=PEAKS):
    path.write_text("".join(f"{name}\t{start}\t{end}\n" for name, start, end in peaks))
    return path


def covered(start, peaks, name):
    window = set(range(start, start + 512))
    return sum(len(window & set(range(s, e))) for peak, s, e in peaks if peak == name)


@pytest.mark.parametrize(
    ("label", "least", "coverage"),
    [
        ("dnase__a", 50, None),
        ("h3k4me3__a", 256, None),
        ("dnase__a", 280, 280.0),
        ("h3k4me3__a", 51.2, 0.1),
    ],
)
def test_peaks_are_compared_in_windows_by_the_rule_of_their_kind(
    folder, tmp_path, label, least, coverage
):
    path, values = folder
    peaks = write_peaks(tmp_path / f"{label}.bed")
    pairs, notes = pair_up(read_predictions(path), [str(peaks)])
    (score,), more = score_tracks(pairs, TrackRules(coverage=coverage))
    truth = np.array(
        [
            covered(512 * index, PEAKS, name) >= least
            for name in ("chr1", "chr2")
            for index in range(WINDOWS[name])
        ]
    )
    predicted = middle_values(values[label])
    assert score.sites == len(truth) == WINDOWS["chr1"] + WINDOWS["chr2"]
    assert score.ranking.positives == truth.sum()
    assert score.ranking.auroc == pytest.approx(roc_auc_score(truth, predicted))
    assert score.ranking.auprc == pytest.approx(average_precision_score(truth, predicted))
    assert 0 < score.ece < 1
    assert more[0].startswith(f"{label}: only {truth.sum()} positive")
    assert len(notes) == 1
    assert notes[0].startswith("Tracks without labels")


def test_gaps_and_what_is_outside_the_regions_do_not_count(folder, genome, tmp_path):
    pairs, _ = pair_up(read_predictions(folder[0]), [str(write_peaks(tmp_path / "dnase__a.bed"))])
    facts = read_genome_facts(genome[0])
    (score,), _ = score_tracks(pairs, genome=facts)
    whole = [512 * index for index in range(WINDOWS["chr1"])]
    known = [start for start in whole if (genome[1]["chr1"][start : start + 512] < 4).mean() >= 0.5]
    assert score.sites == len(known) + WINDOWS["chr2"]
    regions = Regions.of_intervals([Interval("chr1", 500, 5_700), Interval("chr2", 0, 512)])
    (score,), _ = score_tracks(pairs, genome=facts, regions=regions)
    assert score.sites == 10 + 1  # 512 to 5,632, and the first window of chr2
    with pytest.raises(DataError, match="no value at any site .* inside the regions"):
        score_tracks(pairs, regions=Regions.of_intervals([Interval("chr9", 0, 9_000)]))


def test_mean_is_unweighted_and_a_label_without_positive_is_left_out(folder, tmp_path):
    files = tmp_path / "labels"
    files.mkdir()
    write_peaks(files / "dnase__a.bed")
    write_peaks(files / "h3k4me3__a.bed", [("chr1", 600, 700)])
    write_peaks(files / "unrelated.bed")
    pairs, notes = pair_up(read_predictions(folder[0]), [str(files)])
    assert not notes
    scores, notes = score_tracks(pairs)
    assert notes[1:] == ["h3k4me3__a: no positive where it is compared; not in the mean."]
    assert notes[0].startswith("dnase__a: only 4 positives where it is compared; chance")
    (mean,) = means(scores)
    assert mean.task == "accessibility"
    assert mean.auroc == scores[0].ranking.auroc
    text = to_text(scores)
    assert [line.split()[0] for line in text.splitlines()] == [
        "label",
        "dnase__a",
        "h3k4me3__a",
        "mean,",
    ]
    content = json.loads(json.dumps(to_json(scores), allow_nan=False))
    assert content["labels"][1]["auroc"] is None
    page = tracks_page(scores, {"prediction": "<tracks>"}, notes)
    assert page.count("<svg") == 8
    assert "nan" not in page
    assert "&lt;tracks&gt;" in page
    pairs, _ = pair_up(read_predictions(folder[0]), [str(files / "h3k4me3__a.bed")])
    with pytest.raises(DataError, match="No label has a positive"):
        score_tracks(pairs)


def write_methylation(path, codes, random, shift=0):
    """Both strands of each CpG of chr1, most of them above 0.9 or below 0.1; their truth."""
    positions = cpg_sites(codes["chr1"])
    percents = random.choice([0, 5, 50, 95, 100], len(positions))
    rows = [
        f"chr1\t{p + s + shift}\t{p + s + shift + 1}\t.\t9\t{strand}\t0\t0\t0,0,0\t9\t{percent}\n"
        for p, percent in zip(positions, percents, strict=True)
        for s, strand in ((0, "+"), (1, "-"))
    ]
    path.write_text("".join(rows))
    return positions, percents


def test_methylation_is_compared_at_cpgs_and_by_density(tmp_path, genome):
    random = np.random.default_rng(3)
    labels = tmp_path / "wgbs.bed"
    positions, percents = write_methylation(labels, genome[1], random)
    guesses = (0.7 * percents + random.uniform(0, 30, len(positions))).astype(np.float32)
    values = np.full(SIZES["chr1"], np.nan, np.float32)
    values[positions] = values[positions + 1] = guesses
    path = tmp_path / "m"
    path.mkdir()
    write_bigwig(path / "x.bw", SIZES, [Block("chr1", 0, values)])
    write_table(path, [Row("x.bw", "bigwig", "methylation", "imr90", "m", "percent", "CpG")])
    pairs, _ = pair_up(read_predictions(path), [str(labels)])
    (score,), notes = score_tracks(pairs, genome=read_genome_facts(genome[0]))
    assert not notes
    known = percents != 50
    truth = percents[known] > 50
    assert score.ranking.auroc == pytest.approx(roc_auc_score(truth, guesses[known]))
    assert score.pearson == pytest.approx(np.corrcoef(percents, guesses)[0, 1], abs=1e-5)
    around = np.array([((positions >= p - 255) & (positions < p + 257)).sum() for p in positions])
    inside = known & (around > 20) & (around <= 40)
    by_name = {part.cpgs: part for part in score.by_density}
    assert sum(part.sites for part in score.by_density) == score.sites == known.sum()
    assert by_name["21-40"].sites == inside.sum() > 0
    assert by_name["21-40"].auroc == pytest.approx(
        roc_auc_score(percents[inside] > 50, guesses[inside])
    )
    assert "21-40" in to_text([score])
    table = tmp_path / "windows.tsv"
    for before in (255, 256):  # the middle of the window is that of the CpG, or the C
        rows = [
            f"chr1\t{p - before}\t{p - before + 512}\t{int(truth)}\n"
            for p, truth in zip(positions[known], truth, strict=True)
            if 256 <= p < SIZES["chr1"] - 256
        ]
        table.write_text("chrom\tstart\tend\timr90\n" + "".join(rows))
        pairs_of_table, _ = pair_up(read_predictions(path), [str(table)])
        (of_table,), _ = score_tracks(pairs_of_table, genome=read_genome_facts(genome[0]))
        inner = (positions[known] >= 256) & (positions[known] < SIZES["chr1"] - 256)
        expected = roc_auc_score(truth[inner], guesses[known][inner])
        assert of_table.ranking.auroc == pytest.approx(expected)
    assert (score.amounts, score.sites) == (len(positions), known.sum())
    peaks = write_peaks(tmp_path / "imr90.bed")
    with pytest.raises(DataError, match="intervals cannot be compared with 'imr90'"):
        score_tracks(pair_up(read_predictions(path), [str(peaks)])[0])
    write_methylation(labels, genome[1], random, shift=1)
    with pytest.raises(DataError, match="sites .* are CGs in the genome"):
        score_tracks(pairs, genome=read_genome_facts(genome[0]))


def test_a_site_beyond_the_end_is_passed_over(tmp_path, genome):
    random = np.random.default_rng(3)
    labels = tmp_path / "wgbs.bed"
    positions, percents = write_methylation(labels, genome[1], random)
    last = SIZES["chr1"] - 1
    with labels.open("a") as stream:
        stream.write(f"chr1\t{last}\t{last + 1}\tx\t10\t+\t{last}\t{last + 1}\t0,0,0\t10\t50\n")
    values = np.full(SIZES["chr1"], np.nan, np.float32)
    values[positions] = values[positions + 1] = percents
    write_bigwig(tmp_path / "x.bw", SIZES, [Block("chr1", 0, values)])
    pairs, _ = pair_up(read_predictions(tmp_path / "x.bw"), [str(labels)])
    (score,), _ = score_tracks(pairs)
    assert score.sites == (percents != 50).sum()


def test_two_models_in_one_folder_have_their_own_means(folder, tmp_path):
    path, values = folder
    rows = read_table(path)
    write_table(path, [*rows, rows[0]._replace(model="other")])
    labels = write_peaks(tmp_path / "dnase__a.bed")
    pairs, _ = pair_up(read_predictions(path), [str(labels)])
    scores, _ = score_tracks(pairs)
    assert [score.label for score in scores] == ["dnase__a by m", "dnase__a by other"]
    assert [mean.labels for mean in means(scores)] == [1, 1]


def test_a_table_of_another_program_is_no_hindrance(folder):
    path, _ = folder
    (path / "tracks.tsv").write_text("name\tcolour\nx\tred\n")
    assert [track.label for track in read_predictions(path / "dnase__a.bw")] == ["dnase__a"]


def test_signal_is_correlated_and_windows_of_a_table_are_read_at_their_middle(folder, tmp_path):
    path, values = folder
    signal = np.repeat(values["dnase__a"]["chr1"], 128)[: SIZES["chr1"]] ** 2
    write_bigwig(tmp_path / "s.bw", SIZES, [Block("chr1", 0, signal)])
    pairs, _ = pair_up(read_predictions(path / "dnase__a.bw"), [str(tmp_path / "s.bw")])
    assert pairs[0].predicted.task == "accessibility"
    (score,), _ = score_tracks(pairs)
    assert score.ranking is None
    whole = np.nan_to_num(signal[: 512 * WINDOWS["chr1"]].reshape(-1, 512)).mean(1)
    middle = middle_values(values["dnase__a"])[: WINDOWS["chr1"]]
    assert score.sites == WINDOWS["chr1"]
    assert score.spearman == pytest.approx(spearmanr(whole, middle)[0], abs=1e-5)
    assert score.pearson == pytest.approx(np.corrcoef(np.log1p([whole, middle]))[0, 1], abs=1e-5)
    assert "Spearman" in to_text([score])
    table = tmp_path / "w.tsv"
    middles = np.arange(300, 30_000, 97)
    truth = values["h3k4me3__a"]["chr1"][middles // 128] > 0.8
    table.write_text(
        "chrom\tstart\tend\tsplit\tH3K4me3__A\tDNase__a\n"
        + "".join(
            f"chr1\t{m - 250}\t{m + 250}\tb\t{int(t)}:x\tyes\n"
            for m, t in zip(middles, truth, strict=True)
            if m % 128
        )
        + "chr1\t9\t509\ta\t1\tno\n"
    )
    pairs, notes = pair_up(read_predictions(path), [str(table)], {"split": "b"})
    assert notes[0] == f"{table}: columns without labels are passed over: 'DNase__a'."
    (score,), _ = score_tracks(pairs)
    assert score.ranking.auroc == 1
    assert score.ranking.positives == truth[middles % 128 > 0].sum()
    (tmp_path / "labels").mkdir()
    table.rename(tmp_path / "labels" / "h3k4me3__a.tsv")
    pairs, _ = pair_up(read_predictions(path), [str(tmp_path / "labels")], {"split": "b"})
    (again,), _ = score_tracks(pairs)
    assert (again.label, again.sites) == (score.label, score.sites)
    assert again.ranking.auroc == 1


def test_lists_of_label_numbers_go_with_the_tracks_of_these_numbers(folder, tmp_path):
    """As BEND has them: a row's positives, and a track a number."""
    path, values = folder
    rows = [Row(f"{label}.bw", "bigwig", "x", str(n), "m", "probability", "every 128 bp")
            for n, label in ((2, "dnase__a"), (0, "h3k4me3__a"))]  # fmt: skip
    write_table(path, rows)
    middles = np.arange(64, 30_000, 128)
    high = {row.label: values[row.file[:-3]]["chr1"][middles // 128] > 0.8 for row in rows}
    high["1"] = ~high["0"]
    table = tmp_path / "bend.bed"
    table.write_text(
        "chromosome\tstart\tend\tlabel\tsplit\n"
        + "".join(
            f"chr1\t{m - 64}\t{m + 64}\t{','.join(k for k in high if high[k][i])}\ttest\n"
            for i, m in enumerate(middles)
        )
    )
    pairs, notes = pair_up(read_predictions(path), [str(table)], {"split": "test"})
    assert notes == ["Labels without a track: '1'."]
    scores, _ = score_tracks(pairs)
    found = {each.label: (each.ranking.auroc, each.ranking.positives) for each in scores}
    assert found == {name: (1, high[name].sum()) for name in ("2", "0")}


def test_files_that_do_not_belong_together_are_refused(folder, genome, tmp_path):
    tracks = read_predictions(folder[0])
    with pytest.raises(DataError, match=r"'other' against 'dnase__a', 'h3k4me3__a'.*NAME=FILE"):
        pair_up(tracks, [str(write_peaks(tmp_path / "other.bed"))])
    pairs, _ = pair_up(tracks, [f"dnase__a={tmp_path / 'other.bed'}"])
    assert math.isfinite(score_tracks(pairs)[0][0].ranking.auroc)
    write_peaks(tmp_path / "other.bed", [("1", 0, 600)])
    with pytest.raises(DataError, match="differ by 'chr'"):
        score_tracks(pairs)
    write_peaks(tmp_path / "other.bed", [("chr1", 39_990, 40_001)])
    with pytest.raises(DataError, match="line 1: An interval ends at 40,001 of 'chr1'"):
        score_tracks(pairs)
    shorter = tmp_path / "shorter.fa"
    shorter.write_text(">chr1\nACGT\n")
    write_peaks(tmp_path / "other.bed")
    with pytest.raises(DataError, match="40,000 bases here and 4 in the genome"):
        score_tracks(pairs, genome=read_genome_facts(shorter))
    both = [str(tmp_path / "other.bed"), f"dnase__a={tmp_path / 'other.bed'}"]
    with pytest.raises(DataError, match="Label 'other' is in two files"):
        pair_up(tracks, [both[0], both[0]])
    with pytest.raises(DataError, match="holds no bigWig"):
        read_predictions(genome[0].parent)
