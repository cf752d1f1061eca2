"""`dnaannot evaluate genes`: numbers, outputs and refusals on small files written here."""

from __future__ import annotations

import gzip
import json

import pytest

GENOME_BASES = 3000
MODELS = {
    "a": ("+", [(100, 160), (300, 360)]),
    "b": ("-", [(600, 660), (900, 960)]),
    "c": ("+", [(2000, 2090)]),
}


def genome():
    """Sequence in which all `MODELS` are spelled: ATG ... TAA on either strand."""
    bases = list("C" * GENOME_BASES)

    def spell(start, letters):
        bases[start : start + len(letters)] = letters

    for strand, exons in MODELS.values():
        first, last = exons[0][0], exons[-1][1]
        if strand == "+":
            spell(first, "ATG")
            spell(last - 3, "TAA")
        else:
            spell(first, "TTA")
            spell(last - 3, "CAT")
    return "".join(bases)


def gff3(models, sequence="chr1", **attributes):
    more = "".join(f";{key}={value}" for key, value in attributes.items())
    lines = ["##gff-version 3", f"##sequence-region {sequence} 1 {GENOME_BASES}"]
    for name, (strand, exons) in models.items():
        span = f"{exons[0][0] + 1}\t{exons[-1][1]}"
        lines.append(f"{sequence}\tt\tgene\t{span}\t.\t{strand}\t.\tID={name}")
        lines.append(
            f"{sequence}\tt\tmRNA\t{span}\t.\t{strand}\t.\tID={name}.1;Parent={name}{more}"
        )
        lines += [
            f"{sequence}\tt\tCDS\t{start + 1}\t{end}\t.\t{strand}\t0\tParent={name}.1"
            for start, end in exons
        ]
    return "\n".join(lines) + "\n"


def without_stop(models):
    return {
        name: (
            strand,
            [*exons[:-1], (exons[-1][0], exons[-1][1] - 3)]
            if strand == "+"
            else [(exons[0][0] + 3, exons[0][1]), *exons[1:]],
        )
        for name, (strand, exons) in models.items()
    }


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a genome, a reference and a prediction that has one of three genes right."""
    monkeypatch.chdir(tmp_path)
    predicted = {
        "p1": MODELS["a"],
        "p2": ("-", [(600, 660), (900, 963)]),
        "p3": ("+", [(2500, 2530)]),
    }
    (tmp_path / "genome.fa").write_text(f">chr1\n{genome()}\n")
    (tmp_path / "ref.gff3").write_text(gff3(MODELS))
    (tmp_path / "pred.gff3").write_text(gff3(predicted))
    (tmp_path / "short.gff3").write_text(gff3(without_stop(MODELS)))
    return tmp_path


def row(stdout, level):
    line = next(line for line in stdout.splitlines() if line.startswith(f"{level:<14}"))
    return line[14:].split()


def test_table_of_a_prediction_with_one_gene_right(files, run):
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3")
    assert (done.status, done.stderr) == (0, "")
    assert row(done.stdout, "gene") == ["33.33", "33.33", "33.33", "3", "3", "1"]
    assert row(done.stdout, "exon") == ["60.00", "60.00", "60.00", "5", "5", "3"]
    assert row(done.stdout, "nucleotide") == ["72.73", "87.91", "79.60", "330", "273", "240"]
    assert "over 3,000 bases" in done.stdout
    assert "reference genes: 3, of which reachable by one path: 3 (100.00 %" in done.stdout


def test_the_same_file_twice_is_perfect_with_and_without_genome(files, run):
    for more in ([], ["--genome", "genome.fa"]):
        done = run("evaluate", "genes", "ref.gff3", "ref.gff3", *more)
        assert done.stderr == ""
        for level in ("nucleotide", "start codon", "stop codon", "intron chain", "gene"):
            assert row(done.stdout, level)[:3] == ["100.00"] * 3
        assert "MCC of the nine BEND labels: 1.0000 over 3,000 bases" in done.stdout


def test_json_and_report_are_written_and_agree_with_the_table(files, run):
    options = ["--json", "out.json", "--report", "out.html", "--genome", "genome.fa"]
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3", *options)
    assert done.status == 0
    found = json.loads((files / "out.json").read_text())
    assert found["levels"]["gene"] == {
        "sensitivity": 1 / 3,
        "precision": 1 / 3,
        "f1": pytest.approx(1 / 3),
        "reference": 3,
        "predicted": 3,
        "matched_reference": 1,
        "matched_predicted": 1,
    }
    assert sum(map(sum, found["confusion"])) == GENOME_BASES
    assert found["inputs"]["genome"] == "genome.fa"
    assert (files / "out.html").read_text().startswith("<!doctype html>")


def test_compressed_input_scores_the_same(files, run):
    (files / "pred.gff3.gz").write_bytes(gzip.compress((files / "pred.gff3").read_bytes()))
    plain = run("evaluate", "genes", "pred.gff3", "ref.gff3").stdout
    assert run("evaluate", "genes", "pred.gff3.gz", "ref.gff3").stdout == plain


def test_pipes_score_the_same(files, run, piped):
    pipes = [piped((files / name).read_text()) for name in ("pred.gff3", "ref.gff3")]
    done = run("evaluate", "genes", *pipes)
    assert done == run("evaluate", "genes", "pred.gff3", "ref.gff3")


@pytest.mark.parametrize("regions", ["chr1:1-1,000", "regions.bed"])
def test_regions_as_text_or_bed(files, run, regions):
    (files / "regions.bed").write_text("chr1\t0\t400\nchr1\t400\t1000\n")
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3", "--regions", regions)
    assert row(done.stdout, "gene") == ["50.00", "50.00", "50.00", "2", "2", "1"]
    assert "over 1,000 bases" in done.stdout


@pytest.mark.parametrize("more", [[], ["--genome", "genome.fa"]])
def test_a_region_is_a_name_with_colons(files, run, more):
    (files / "genome.fa").write_text(f">HLA:A:01\n{genome()}\n>HLA:A\nACGT\n")
    (files / "ref.gff3").write_text(gff3(MODELS, "HLA:A:01"))
    done = run("evaluate", "genes", "ref.gff3", "ref.gff3", "--regions", "HLA:A:01", *more)
    assert row(done.stdout, "gene")[3:] == ["3", "3", "3"]


@pytest.mark.parametrize("side", ["pred", "ref"])
@pytest.mark.parametrize("genome", [[], ["--genome", "genome.fa"]])
def test_add_stop_makes_up_for_a_cds_without_it(files, run, side, genome):
    pair = ["short.gff3", "ref.gff3"] if side == "pred" else ["ref.gff3", "short.gff3"]
    before = run("evaluate", "genes", *pair, *genome)
    assert row(before.stdout, "gene")[2] == "0.00"
    assert (f"Add --add-stop {side}" in before.stderr) == bool(genome)
    after = run("evaluate", "genes", *pair, *genome, "--add-stop", side)
    assert row(after.stdout, "gene")[2] == "100.00"
    assert "MCC of the nine BEND labels: 1.0000" in after.stdout


def test_an_empty_prediction_scores_zero_and_says_so(files, run):
    (files / "none.gff3").write_text("##gff-version 3\n")
    done = run("evaluate", "genes", "none.gff3", "ref.gff3", "--report", "none.html")
    assert done.status == 0
    assert "The prediction holds no gene: every score is 0." in done.stderr
    assert row(done.stdout, "gene") == ["0.00", "-", "0.00", "3", "0", "0"]
    assert (files / "none.html").exists()


def test_a_sequence_without_predictions_is_told(files, run):
    elsewhere = {f"{name}2": model for name, model in MODELS.items()}
    (files / "ref.gff3").write_text(gff3(MODELS) + gff3(elsewhere, "chr2"))
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3")
    assert "no gene on 1 sequence of the reference, 'chr2'" in done.stderr
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3", "--regions", "chr1")
    assert done.stderr == ""
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3", "--genome", "genome.fa")
    assert "left out 3 transcripts on 1 sequence that genome.fa does not hold" in done.stderr
    assert row(done.stdout, "gene")[3] == "3"


def test_a_transcript_that_cannot_be_read_is_told_with_its_line(files, run):
    broken = "chr1\tt\tCDS\t10\t30\t.\t+\t0\tParent=x\nchr1\tt\tCDS\t20\t40\t.\t+\t0\tParent=x\n"
    (files / "pred.gff3").write_text(gff3(MODELS) + broken)
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3")
    assert "pred.gff3: left out 1 transcript: CDS that overlap" in done.stderr
    assert row(done.stdout, "gene")[2] == "100.00"


def test_parents_without_a_line_are_told(files, run):
    lines = gff3(MODELS).splitlines(keepends=True)
    cds = "".join(line for line in lines if "\tCDS\t" in line)
    (files / "cds.gff3").write_text(cds)
    done = run("evaluate", "genes", "cds.gff3", "ref.gff3")
    assert "cds.gff3: 3 transcripts that CDS name as parent have no line" in done.stderr
    assert row(done.stdout, "gene")[2] == "100.00"


def test_pseudogenes_are_left_out_and_told(files, run):
    (files / "pseudo.gff3").write_text(
        gff3(MODELS).replace("\t0\tParent", "\t0\tpseudo=true;Parent")
    )
    done = run("evaluate", "genes", "ref.gff3", "pseudo.gff3")
    refused(done, "pseudo.gff3", "of a pseudogene")


@pytest.mark.parametrize("option", ["--json", "--report"])
@pytest.mark.parametrize("path", ["pred.gff3", "ref.gff3", "./genome.fa", "regions.bed"])
def test_no_input_is_overwritten(files, run, option, path):
    (files / "regions.bed").write_text("chr1\t0\t400\n")
    before = (files / path).read_bytes()
    given = ("pred.gff3", "ref.gff3", "--genome", "genome.fa", "--regions", "regions.bed")
    done = run("evaluate", "genes", *given, option, path)
    assert (done.status, "is an input" in done.stderr) == (2, True)
    assert (files / path).read_bytes() == before


def test_two_outputs_need_two_files(files, run):
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3", "--json", "x", "--report", "./x")
    assert (done.status, "--report and --json need different files" in done.stderr) == (2, True)


def test_a_gene_marked_as_cut_has_no_stop_codon(files, run):
    (files / "cut.gff3").write_text(gff3(MODELS, partial="true", end_range="2090,."))
    done = run("evaluate", "genes", "cut.gff3", "ref.gff3")
    assert row(done.stdout, "stop codon")[3:] == ["3", "1", "1"]
    assert row(done.stdout, "start codon")[3:] == ["3", "2", "2"]


def refused(done, *words):
    assert done.status == 1
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


def test_different_sequence_names_are_refused_with_both_and_a_hint(files, run):
    (files / "ensembl.gff3").write_text(gff3(MODELS, "1"))
    done = run("evaluate", "genes", "ensembl.gff3", "ref.gff3", "--json", "out.json")
    refused(done, "'1' against 'chr1'", "'chr'")
    assert not (files / "out.json").exists()


def test_wrong_files_are_refused_by_name(files, run):
    refused(run("evaluate", "genes", "nowhere.gff3", "ref.gff3"), "nowhere.gff3")
    (files / "bare.gff3").write_text("##gff-version 3\n")
    refused(run("evaluate", "genes", "pred.gff3", "bare.gff3"), "bare.gff3", "no CDS")
    (files / "bare.gff3").write_text("chr1\tt\tCDS\t10\t30\t.\t.\t0\tParent=x\n")
    refused(run("evaluate", "genes", "pred.gff3", "bare.gff3"), "no CDS", "without a strand")
    refused(run("evaluate", "genes", "pred.gff3", "genome.fa"), "genome.fa", "line 1")
    other = ["--genome", "other.fa"]
    (files / "other.fa").write_text(">contig7\nACGT\n")
    refused(run("evaluate", "genes", "pred.gff3", "ref.gff3", *other), "other.fa", "'contig7'")
    (files / "other.fa").write_text(f">chr1\n{genome()[:2080]}\n")
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3", *other)
    refused(done, "pred.gff3", "'p3.1' ends at base 2,530 of 'chr1', which has 2,080")


def test_wrong_regions_are_refused(files, run):
    both = ["pred.gff3", "ref.gff3", "--regions"]
    refused(run("evaluate", "genes", *both, "chr1:9-2"), "chr1:9-2")
    refused(run("evaluate", "genes", *both, "chrX:1-9"), "'chrX'", "'chr1'")
    refused(run("evaluate", "genes", *both, "nowhere.bed"), "nowhere.bed")
    (files / "genome.fa").write_text(f">chr1\n{genome()}\n")
    (files / "wrong.bed").write_text("chr1\t0\t400\n1\t0\t400\n")
    told = [*both, "wrong.bed", "--genome", "genome.fa"]
    refused(run("evaluate", "genes", *told), "wrong.bed, line 2", "'1'", "'chr1'")
    told = [*both, "chr1:1-9,000,000", "--genome", "genome.fa"]
    refused(run("evaluate", "genes", *told), "past the end of 'chr1'")


def test_an_output_that_cannot_be_written_is_refused_before_the_work(files, run):
    done = run("evaluate", "genes", "pred.gff3", "ref.gff3", "--report", "no/folder.html")
    refused(done, "no/folder.html")
