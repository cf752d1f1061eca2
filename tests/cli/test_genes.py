"""`dnaannot genes` from FASTA to files, with a small model on real sequence."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from dnaannot.dna.sequence import decode, encode, reverse_complement, translate
from dnaannot.dna.transcript import exon_bounds
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.gff import read_annotation
from dnaannot.predict import scorer


def fasta(sequences, width=60):
    lines = []
    for name, letters in sequences.items():
        lines.append(f">{name} some text")
        lines += [letters[at : at + width] for at in range(0, len(letters), width)]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def sequences(fly_codes):
    """A chromosome with gaps and several contigs."""
    chromosome = decode(fly_codes[:40_000])
    chromosome = chromosome[:9_000] + "N" * 300 + chromosome[9_300:20_000] + "N" * 20
    chromosome += decode(fly_codes[20_020:40_000])
    lengths = {"c1": 900, "c2": 3_000, "c3": 30, "c4": 1_100, "c5": 19_000, "c6": 2}
    contigs = {
        name: decode(fly_codes[50_000 + 20_000 * number :][:length])
        for number, (name, length) in enumerate(lengths.items())
    }
    return {"chr1": chromosome, **contigs, "unknown": "N" * 700}


@pytest.fixture
def folder(tmp_path, monkeypatch, sequences):
    """An empty working folder but for `genome.fa`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "genome.fa").write_text(fasta(sequences))
    return tmp_path


@pytest.fixture
def genes(run, folder, tiny_model_file):
    """Run `dnaannot genes` with the small model on one thread."""

    def run_genes(*arguments, model=tiny_model_file):
        done = run("genes", "--device", "cpu", "--threads", 1, "--model", model, *arguments)
        assert "internal error" not in done.stderr
        return done

    return run_genes


@pytest.fixture
def annotate(genes):
    """Run it and make sure that it succeeds."""

    def run_genes(*arguments):
        done = genes(*arguments)
        assert done.status == 0, done.stderr
        return done

    return run_genes


@pytest.fixture(scope="module")
def expected(sequences, tiny_model_file, tmp_path_factory):
    """The GFF3 of `sequences`, and the proteins and coding sequences."""
    from click.testing import CliRunner

    from dnaannot.cli.genes import genes

    path = tmp_path_factory.mktemp("expected")
    (path / "genome.fa").write_text(fasta(sequences))
    outputs = [f"-o{path}/out.gff3", f"--proteins={path}/out.faa", f"--cds={path}/out.fna"]
    command = [str(path / "genome.fa"), f"--model={tiny_model_file}", "--threads=1", *outputs]
    done = CliRunner().invoke(genes, command, catch_exceptions=False)
    assert done.exit_code == 0
    names = {"gff3": "out.gff3", "faa": "out.faa", "fna": "out.fna"}
    return SimpleNamespace(**{kind: (path / name).read_bytes() for kind, name in names.items()})


def left(folder):
    """What is in the folder, hidden files too."""
    return sorted(os.listdir(folder))


def refused(done, *words, status=1):
    assert done.status == status, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    assert "internal error" not in done.stderr
    assert "Traceback" not in done.stderr


def records(path):
    return {record.name: decode(record.codes) for record in read_fasta(path)}


def proteins(text):
    found = {}
    for entry in text.split(">")[1:]:
        header, *lines = entry.splitlines()
        found[header.split()[0]] = "".join(lines)
    return found


# --- output ---------------------------------------------------------------------------------


def test_summary_goes_to_stderr_and_nothing_to_stdout(genes, folder, expected):
    done = genes("genome.fa", "-o", "out.gff3")
    assert (done.status, done.stdout) == (0, "")
    transcripts = read_annotation("out.gff3").transcripts
    exons = sum(len(annotated.transcript.exons) for annotated in transcripts)
    assert f"{len(transcripts):,} genes, {exons:,} exons, " in done.stderr
    assert "64.7 kb in 0:0" in done.stderr
    assert left(folder) == ["genome.fa", "out.gff3"]
    assert (folder / "out.gff3").read_bytes() == expected.gff3


def test_quiet(genes):
    assert genes("genome.fa", "-o", "out.gff3", "-q")[1:] == ("", "")


def test_standard_output(genes, folder, expected):
    done = genes("genome.fa", "-o", "-")
    assert done.stdout.encode() == expected.gff3
    assert " genes, " in done.stderr
    assert left(folder) == ["genome.fa"]


def test_every_gene_is_valid(sequences, expected, tmp_path):
    (tmp_path / "out.gff3").write_bytes(expected.gff3)
    transcripts = [a.transcript for a in read_annotation(tmp_path / "out.gff3").transcripts]
    partial = {
        line.split("ID=")[1].split(";")[0]
        for line in expected.gff3.decode().splitlines()
        if "\tmRNA\t" in line and "partial=true" in line
    }
    assert len(transcripts) - len(partial) > 30
    assert partial
    for transcript in transcripts:
        codes = encode(sequences[transcript.sequence].encode())
        cds = transcript.cds(codes)
        first = transcript.exons[0 if transcript.strand.value == "+" else -1]
        protein = translate(cds[first.phase :])
        assert "*" not in protein[:-1]
        if transcript.name not in partial:
            assert (protein[0], protein[-1], len(cds) % 3) == ("M", "*", 0)
        for start, end in transcript.introns:
            intron = codes[start:end]
            if transcript.strand.value == "-":
                intron = reverse_complement(intron)
            letters = decode(intron)
            assert len(letters) >= 20
            assert letters[:2] in ("GT", "GC")
            assert letters[-2:] == "AG"


@pytest.mark.skipif(not shutil.which("gt"), reason="genometools is not installed")
def test_gff3_is_valid_for_genometools(annotate, folder):
    annotate("genome.fa", "-o", "out.gff3")
    done = subprocess.run(["gt", "gff3validator", "out.gff3"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "valid" in done.stdout


@pytest.mark.skipif(not shutil.which("gffread"), reason="gffread is not installed")
@pytest.mark.parametrize("name", ["out.gff3", "out.gtf"])
def test_proteins_and_cds_are_those_of_gffread(annotate, folder, sequences, name):
    annotate("genome.fa", "-o", name, "--proteins", "out.faa", "--cds", "out.fna")
    subprocess.run(
        ["gffread", "-g", "genome.fa", "-y", "read.faa", "-x", "read.fna", name],
        check=True,
        capture_output=True,
    )
    whole = {
        annotated.transcript.name
        for annotated in read_annotation(name).transcripts
        # gffread takes the phase of a cut gene from its stop codon's line in GTF
        if name == "out.gff3" or "partial" not in annotated.attributes
    }
    assert len(whole) > 30
    for kind in ("faa", "fna"):
        mine, theirs = (proteins((folder / f"{x}.{kind}").read_text()) for x in ("out", "read"))
        assert set(mine) == set(theirs) >= whole
        for transcript in whole:
            assert mine[transcript] == theirs[transcript].rstrip(".")


def test_gtf_holds_the_same_genes(annotate, folder, expected):
    annotate("genome.fa", "-o", "by_name.gtf")
    annotate("genome.fa", "-o", "by_option", "--format", "gtf")
    assert (folder / "by_name.gtf").read_bytes() == (folder / "by_option").read_bytes()
    (folder / "out.gff3").write_bytes(expected.gff3)
    gtf, gff3 = (
        [a.transcript for a in read_annotation(name).transcripts]
        for name in ("by_name.gtf", "out.gff3")
    )
    assert [(t.sequence, t.strand, t.exons) for t in gtf] == [
        (t.sequence, t.strand, t.exons) for t in gff3
    ]


@pytest.mark.parametrize("name", ["out.gff3.gz", "out.gtf.gz"])
def test_compressed_output_is_indexed(annotate, folder, expected, name):
    import pysam

    annotate("genome.fa", "-o", name, "--proteins", "out.faa.gz")
    assert left(folder) == sorted(["genome.fa", name, f"{name}.tbi", "out.faa.gz"])
    if "gff3" in name:
        assert gzip.decompress((folder / name).read_bytes()) == expected.gff3
    assert gzip.decompress((folder / "out.faa.gz").read_bytes()) == expected.faa
    with pysam.TabixFile(name) as index:
        rows = list(index.fetch("chr1", 20_000, 30_000))
    assert any("\tCDS\t" in row for row in rows)
    assert all(int(row.split("\t")[4]) > 20_000 for row in rows)


def test_genes_below_the_score_are_left_out_and_the_rest_numbered(annotate, folder, expected):
    annotate("genome.fa", "-o", "out.gff3", "--min-score", "0.5", "--id-prefix", "DM_")
    every = [line.split("\t") for line in expected.gff3.decode().splitlines() if "\tgene\t" in line]
    kept = [row for row in every if float(row[5]) >= 0.5]
    found = [
        line.split("\t")
        for line in (folder / "out.gff3").read_text().splitlines()
        if "\tgene\t" in line
    ]
    assert 5 < len(kept) < len(every)
    assert [row[:8] for row in found] == [row[:8] for row in kept]
    assert [row[8].split(";")[0] for row in found] == [
        f"ID=DM_{number:06d}" for number in range(1, len(kept) + 1)
    ]


def test_partial_and_short_genes_and_whole_sequences_are_left_out(annotate, folder):
    def models(*options):
        annotate("genome.fa", "-o", "out.gff3", *options)
        return [each.transcript for each in read_annotation("out.gff3").transcripts]

    def is_partial(transcript):
        rows = [row for row in written if f"ID={transcript.name};" in row]
        return "partial=true" in rows[0]

    def places(transcripts):
        return [(each.sequence, exon_bounds(each)) for each in transcripts]

    every = models()
    written = (folder / "out.gff3").read_text().splitlines()
    kept = [each for each in every if not is_partial(each) and each.coding_bases >= 300]
    assert 0 < len(kept) < len(every)
    assert places(models("--complete", "--min-cds", "300")) == places(kept)
    others = [each for each in every if each.sequence != every[0].sequence]
    assert places(models("--exclude", every[0].sequence)) == places(others)


@pytest.mark.parametrize("prefix", ["a b", "g;", "x=", 'q"', "50%"])
def test_prefixes_that_break_identifiers_are_refused(genes, folder, prefix):
    refused(genes("genome.fa", "-o", "out.gff3", "--id-prefix", prefix), "--id-prefix", status=2)
    assert left(folder) == ["genome.fa"]


def test_gaps_shorter_than_min_gap_are_bases(genes, annotate, folder, expected):
    def features(text):
        return [line for line in text.splitlines() if not line.startswith(b"# ")]

    for least, is_same in (("301", False), ("21", True)):
        annotate("genome.fa", "-o", "out.gff3", "--min-gap", least)
        found = (folder / "out.gff3").read_bytes()
        assert found.splitlines()[1].endswith(f" --min-gap {least}".encode())
        assert (features(found) == features(expected.gff3)) == is_same
    refused(genes("genome.fa", "-o", "out.gff3", "--min-gap", "19"), "--min-gap", "20", status=2)


def test_both_strands_mirror(annotate, folder, sequences):
    mirrored = {
        name: decode(reverse_complement(encode(letters.encode())))
        for name, letters in sequences.items()
    }
    (folder / "mirrored.fa").write_text(fasta(mirrored))
    found = []
    for name in ("genome", "mirrored"):
        annotate(f"{name}.fa", "-o", f"{name}.gff3", "--both-strands")
        found.append([a.transcript for a in read_annotation(f"{name}.gff3").transcripts])
    flip = {"+": "-", "-": "+"}

    def spans(transcript, mirror):
        length = len(sequences[transcript.sequence])
        exons = [(exon.start, exon.end, exon.phase) for exon in transcript.exons]
        if not mirror:
            return transcript.sequence, transcript.strand.value, tuple(exons)
        exons = [(length - b, length - a, phase) for a, b, phase in exons[::-1]]
        return transcript.sequence, flip[transcript.strand.value], tuple(exons)

    assert {spans(t, False) for t in found[0]} == {spans(t, True) for t in found[1]}


# --- invariance -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("--window", "8k"),
        ("--window", "20k", "--batch-size", "8"),
        ("--window", "50k", "--batch-size", "1"),
        ("--batch-size", "8", "--threads", "2"),
        ("--threads", "2"),
    ],
)
def test_scheduling_changes_no_byte(annotate, folder, expected, options):
    annotate("genome.fa", "-o", "out.gff3", *options)
    assert (folder / "out.gff3").read_bytes() == expected.gff3


def test_scheduling_of_many_tiles_changes_no_byte(annotate, folder, monkeypatch):
    monkeypatch.setattr(scorer, "_LADDER", (128,))
    monkeypatch.setattr(scorer, "_BATCHED_BASES", 1_152)
    found = set()
    for options in ((), ("--window", "8k"), ("--threads", "2"), ("--batch-size", "8")):
        annotate("genome.fa", "-o", "out.gff3", *options)
        found.add((folder / "out.gff3").read_bytes())
    assert len(found) == 1


def one_line(sequences):
    return fasta(sequences, width=10**6)


def lower_case(sequences):
    return fasta({name: letters.lower() for name, letters in sequences.items()})


def carriage_returns(sequences):
    return fasta(sequences).replace("\n", "\r\n")


def iupac_letters(sequences):
    return fasta({name: letters.replace("N", "R", 7) for name, letters in sequences.items()})


def with_empty_records(sequences):
    return ">first\n\n" + fasta(sequences) + ">last\n"


@pytest.mark.parametrize(
    "written", [one_line, lower_case, carriage_returns, iupac_letters, with_empty_records]
)
def test_how_the_genome_is_written_changes_no_byte(genes, folder, sequences, expected, written):
    (folder / "other.fa").write_text(written(sequences), newline="")
    done = genes("other.fa", "-o", "out.gff3")
    assert (folder / "out.gff3").read_bytes() == expected.gff3
    assert ("warning: other.fa: sequence 'first' is empty, skipped." in done.stderr) == (
        written is with_empty_records
    )


@pytest.mark.parametrize("compressed", ["gzip", "bgzip"])
def test_compressed_genomes(annotate, folder, sequences, expected, compressed):
    import pysam

    if compressed == "gzip":
        (folder / "other.fa").write_bytes(gzip.compress(fasta(sequences).encode()))
    else:
        pysam.tabix_compress("genome.fa", "other.fa")
    annotate("other.fa", "-o", "out.gff3")
    assert (folder / "out.gff3").read_bytes() == expected.gff3


def test_standard_input_and_pipes(annotate, folder, sequences, expected, monkeypatch):
    text = fasta(sequences).encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    annotate("-", "-o", "out.gff3")
    assert (folder / "out.gff3").read_bytes() == expected.gff3
    os.mkfifo("pipe.fa")
    writer = threading.Thread(target=lambda: (folder / "pipe.fa").write_bytes(text))
    writer.start()
    annotate("pipe.fa", "-o", "piped.gff3")
    writer.join()
    assert (folder / "piped.gff3").read_bytes() == expected.gff3


def test_several_genomes_are_annotated_in_one_call(annotate, folder, sequences, expected):
    (folder / "a.fa").write_text(fasta({"chr1": sequences["chr1"]}))
    (folder / "b.fa").write_text(fasta({k: v for k, v in sequences.items() if k != "chr1"}))
    annotate("a.fa", "b.fa", "-o", "out.gff3")
    assert (folder / "out.gff3").read_bytes() == expected.gff3


def test_order_of_sequences_is_kept_but_changes_no_gene(annotate, folder, sequences, expected):
    (folder / "other.fa").write_text(fasta(dict(reversed(sequences.items()))))
    annotate("other.fa", "-o", "out.gff3")
    rows = [
        sorted(line.split("\t")[:8] for line in text.splitlines() if "\tCDS\t" in line)
        for text in ((folder / "out.gff3").read_text(), expected.gff3.decode())
    ]
    assert rows[0] == rows[1]


# --- regions, score tracks, resume ----------------------------------------------------------


def test_only_genes_of_regions(annotate, folder, expected):
    (folder / "regions.bed").write_text("c5\t100\t900\nchr1\t30000\t36000\nchr1\t12000\t12100\n")
    annotate("genome.fa", "-o", "out.gff3", "--regions", "regions.bed")
    (folder / "all.gff3").write_bytes(expected.gff3)
    found, every = (
        [a.transcript for a in read_annotation(name).transcripts]
        for name in ("out.gff3", "all.gff3")
    )
    spans = {"c5": [(100, 900)], "chr1": [(30_000, 36_000), (12_000, 12_100)]}
    wanted = [
        (t.sequence, t.start, t.end)
        for t in every
        if any(t.start < b and t.end > a for a, b in spans.get(t.sequence, ()))
    ]
    assert len(wanted) > 4
    assert [(t.sequence, t.start, t.end) for t in found] == wanted


def tracks_of(path):
    import pyBigWig

    return {name: pyBigWig.open(str(path / name)) for name in left(path)}


def values(track, sequence, start, end):
    found = track.values(sequence, start, end, numpy=True)
    return np.nan_to_num(found) if len(found) else np.zeros(end - start)


def test_score_tracks_hold_the_posteriors(genes, folder, sequences, tiny_model, expected):
    from dnaannot.formats.score_tracks import TRACKS
    from dnaannot.predict.device import choose_compute
    from dnaannot.predict.genes import GenePredictor

    done = genes("genome.fa", "-o", "out.gff3", "--scores", "scores")
    assert done.status == 0
    assert (folder / "out.gff3").read_bytes() == expected.gff3
    assert left(folder / "scores") == sorted(f"{name}.bw" for name in TRACKS)
    labels, compute = tiny_model.grammar.labels, choose_compute("cpu")
    posteriors = {}
    predictor = GenePredictor(tiny_model, compute)
    coded = [(name, encode(letters.encode())) for name, letters in sequences.items()]
    for each in predictor.predict(coded, lambda n, start, p: posteriors.update({n: p})):
        list(each.transcripts)
    for name, track in tracks_of(folder / "scores").items():
        assert track.chroms() == {key: len(value) for key, value in sequences.items()}
        summed = TRACKS[name.removesuffix(".bw")]
        for sequence in ("chr1", "c5", "c1"):
            want = posteriors[sequence][:, [labels.index(label) for label in summed]].sum(1)
            got = values(track, sequence, 0, len(want))
            assert np.abs(got - np.where(want < 0.001, 0, want)).max() < 1e-3


def test_a_region_is_a_name_with_colons(annotate, folder, sequences):
    (folder / "other.fa").write_text(fasta({"H:1:01": sequences["c5"], "c": sequences["chr1"]}))
    annotate("other.fa", "-o", "some.gff3", "--regions", "H:1:01")
    annotate("other.fa", "-o", "all.gff3")
    found = [
        [
            a.transcript.exons
            for a in read_annotation(name).transcripts
            if a.transcript.sequence != "c"
        ]
        for name in ("some.gff3", "all.gff3")
    ]
    assert found[0] == found[1] != []
    assert {a.transcript.sequence for a in read_annotation("some.gff3").transcripts} == {"H:1:01"}


def test_score_tracks_of_regions(annotate, folder):
    (folder / "regions.bed").write_text("chr1\t30000\t30500\nc5\t7\t70\n")
    annotate("genome.fa", "-o", "out.gff3", "--scores", "all")
    annotate("genome.fa", "-o", "out.gff3", "--scores", "some", "--regions", "regions.bed")
    every, some = tracks_of(folder / "all"), tracks_of(folder / "some")
    for name, track in some.items():
        for sequence, start, end in (("chr1", 30_000, 30_500), ("c5", 7, 70)):
            one, other = (values(t, sequence, start, end) for t in (track, every[name]))
            assert np.allclose(one, other, atol=2e-3)
        assert not track.intervals("chr1", 0, 30_000)
        assert not track.intervals("c1")
    assert some["cds.plus.bw"].header()["nBasesCovered"] > 100


@pytest.mark.parametrize("after", [0, 2, 7])
def test_an_interrupted_run_is_resumed(genes, folder, expected, monkeypatch, after):
    from dnaannot.formats.gene_files import GeneFiles

    real, begun = GeneFiles.begin_sequence, []

    def interrupted(self, name, length):
        if len(begun) == after:
            raise KeyboardInterrupt
        begun.append(name)
        real(self, name, length)

    command = ("genome.fa", "-o", "out.gff3", "--proteins", "out.faa", "--resume")
    monkeypatch.setattr(GeneFiles, "begin_sequence", interrupted)
    done = genes(*command)
    assert (done.status, done.stderr.strip()) == (130, "dnaannot: interrupted")
    assert left(folder) == ["genome.fa", "out.gff3.journal"]
    monkeypatch.setattr(GeneFiles, "begin_sequence", real)
    refused(genes(*command, "--both-strands"), "out.gff3.journal", "other options")
    assert left(folder) == ["genome.fa", "out.gff3.journal"]
    for name in ("faa", "gff3", "gff3.tbi", "gff3.csi"):
        (folder / f".out.{name}.0123abcd.tmp").write_text("of a run that was killed outright")
    (folder / ".out.gff3.bak.0123abcd.tmp").write_text("of another file")
    done = genes(*command)
    assert done.status == 0
    (folder / ".out.gff3.bak.0123abcd.tmp").unlink()
    assert (folder / "out.gff3").read_bytes() == expected.gff3
    assert (folder / "out.faa").read_bytes() == expected.faa
    assert left(folder) == ["genome.fa", "out.faa", "out.gff3"]


# --- the model ------------------------------------------------------------------------------


def test_a_bundled_model_is_chosen_and_the_choice_told(
    run, folder, expected, tiny_model_file, tmp_path, monkeypatch
):
    from dnaannot import catalog
    from dnaannot.catalog import Entry
    from dnaannot.nn.checkpoint import read_facts

    facts = read_facts(tiny_model_file)
    facts["card"]["metrics"] = {"confidence": 1.0}
    monkeypatch.setattr(catalog, "bundled", lambda: [Entry("tiny", tiny_model_file, facts)])
    done = run("genes", "genome.fa", "-o", "out.gff3", "--threads", "1")
    assert done.status == 0
    assert "model: tiny (distance of genomic signatures: tiny inf)" in done.stderr
    assert "warning: no bundled model fits this genome well" in done.stderr
    assert "dnaannot train genes" in done.stderr
    assert (folder / "out.gff3").read_bytes() == expected.gff3
    monkeypatch.setattr(catalog, "bundled", list)
    done = run("genes", "genome.fa", "-o", "other.gff3")
    refused(done, "no bundled model", "--model PATH")
    assert "other.gff3" not in left(folder)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.safetensors", None, ["no such model file"]),
        ("nonsense", None, ["no model named 'nonsense'"]),
        ("cut.safetensors", "cut", ["truncated"]),
        ("model.pt", "pickle", ["never pickles"]),
        ("empty.safetensors", b"", ["truncated"]),
        ("other.safetensors", "version", ["format version 99"]),
        ("task.safetensors", "task", ["'tracks', not for genes"]),
        ("foreign.safetensors", "foreign", ["no dnaannot model"]),
    ],
)
def test_bad_models_are_refused(genes, folder, tiny_model_file, name, content, words):
    import json

    import torch
    from safetensors.torch import load, save

    from dnaannot.nn.checkpoint import read_facts

    whole = tiny_model_file.read_bytes()
    if content == "cut":
        content = whole[: len(whole) // 2]
    elif content == "pickle":
        torch.save({"weights": torch.zeros(3)}, folder / name)
        content = (folder / name).read_bytes()
    elif content in ("version", "task"):
        change = {"format_version": 99} if content == "version" else {"task": "tracks"}
        facts = {**read_facts(tiny_model_file), **change}
        content = save(load(whole), metadata={"dnaannot": json.dumps(facts)})
    elif content == "foreign":
        content = save({"weights": torch.zeros(3)})
    if content is not None:
        (folder / name).write_bytes(content)
    before = left(folder)
    refused(genes("genome.fa", "-o", "out.gff3", model=name), name, *words)
    assert left(folder) == before


# --- what is refused ------------------------------------------------------------------------

FASTQ = b"@read\nACGT\n+\nIIII\n"
PROTEIN = b">p\nMKVLAAGIVGLCAKAYELWQPFSTEERK\n" * 3
RANDOM_BASES = bytes(np.random.default_rng(1).choice(list(b"ACGT"), 9_000).astype(np.uint8))
BAM = gzip.compress(b"BAM\x01\0\0\0\0", mtime=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["no such file"]),
        (b"", ["empty"]),
        (b"\n\n", ["empty"]),
        (gzip.compress(b"", mtime=0), ["empty"]),
        (BAM, ["BAM"]),
        (b"%PDF-1.7\n%\xe2\xe3", ["PDF"]),
        (FASTQ, ["FASTQ", "line 1"]),
        (PROTEIN, ["protein", "line 2"]),
        (b"ACGTACGT\n", ["no header", "line 1"]),
        (b">a\nACGT\n>b\nAC*T\n", ["line 4"]),
        (b">a\nACGT\n>a\nACGT\n", ["'a'", "line 3"]),
        (b">\nACGT\n", ["no name", "line 1"]),
        (gzip.compress(b">a\n" + RANDOM_BASES, mtime=0)[:1000], ["cut short"]),
    ],
)
def test_what_is_no_genome_is_refused(genes, folder, content, words):
    if content is not None:
        (folder / "bad.fa").write_bytes(content)
    before = left(folder)
    options = ("-o", "out.gff3", "--proteins", "out.faa", "--scores", "scores")
    refused(genes("genome.fa", "bad.fa", *options), "bad.fa", *words)
    assert left(folder) == before


def test_a_truncated_genome_is_refused_wherever_it_is_cut(genes, folder, sequences, monkeypatch):
    import pysam

    pysam.tabix_compress("genome.fa", "whole.fa.gz")
    whole = (folder / "whole.fa.gz").read_bytes()
    for cut in (len(whole) - 28, len(whole) // 2, 50):
        (folder / "cut.fa.gz").write_bytes(whole[:cut])
        refused(genes("cut.fa.gz", "-o", "out.gff3"), "cut.fa.gz", "cut short")
    gzipped = gzip.compress(fasta(sequences).encode())[:-9]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(gzipped)))
    refused(genes("-", "-o", "out.gff3"), "standard input", "cut short")
    assert left(folder) == ["cut.fa.gz", "genome.fa", "whole.fa.gz"]


def test_a_folder_is_refused(genes, folder):
    (folder / "sub").mkdir()
    refused(genes("sub", "-o", "out.gff3"), "sub", "folder")
    refused(genes("genome.fa", "-o", "sub"), "sub", "folder")
    refused(genes("genome.fa", "-o", "sub/none/out.gff3"), "sub/none/out.gff3", "folder first")
    refused(genes("genome.fa", "-o", "out.gff3", "--scores", "genome.fa"), "genome.fa")
    assert left(folder) == ["genome.fa", "sub"]
    assert left(folder / "sub") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_without_permission_is_refused(genes, folder):
    (folder / "sub").mkdir(mode=0o500)
    refused(genes("genome.fa", "-o", "sub/out.gff3"), "sub/out.gff3", "may write")


def test_names_in_two_files_are_refused(genes, folder, sequences):
    (folder / "other.fa").write_text(">z\nACGT\n>c2\nACGT\n")
    done = genes("genome.fa", "other.fa", "-o", "out.gff3")
    refused(done, "other.fa, line 3", "'c2'", "genome.fa")
    assert left(folder) == ["genome.fa", "other.fa"]


@pytest.mark.parametrize(
    ("bed", "words"),
    [
        (None, ["regions.bed", "no such file"]),
        ("chr9\t1\t9\n", ["regions.bed, line 1", "'chr9'", "'chr1'"]),
        ("# text\nchr1\t1\t99999999\n", ["regions.bed, line 2", "'chr1'", "40,000"]),
        ("chr1\t9\n", ["regions.bed, line 1"]),
        ("chr1\t9\t3\n", ["regions.bed, line 1"]),
    ],
)
@pytest.mark.parametrize("piped", [False, True])
def test_bad_regions_are_refused(genes, folder, sequences, monkeypatch, bed, words, piped):
    if bed is not None:
        (folder / "regions.bed").write_text(bed)
    before, genome = left(folder), "genome.fa"
    if piped:
        text = fasta(sequences).encode()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
        genome = "-"
    refused(genes(genome, "-o", "out.gff3", "--regions", "regions.bed"), *words)
    assert left(folder) == before


def test_empty_names_are_refused(genes, folder):
    refused(genes("genome.fa", "-o", ""), "the name of an output is empty")
    refused(genes("genome.fa", "-o", "out.gff3", model=""), "no model named ''")
    refused(genes("genome.fa", "-o", "out.gff3", model="."), "no model named '.'")
    assert left(folder) == ["genome.fa"]


def test_the_second_line_names_the_filters(annotate, folder, sequences):
    name = next(iter(sequences))
    (folder / "some.bed").write_text(f"{name}\t0\t100\n")
    given = ("--complete", "--min-score", "0.1", "--min-cds", "30", "--regions", "some.bed")
    annotate("genome.fa", "-o", "out.gff3", *given)
    line = (folder / "out.gff3").read_text().splitlines()[1]
    assert line.endswith(" --complete --min-score 0.1 --min-cds 30 --regions some.bed")
    others = list(sequences)[1:]
    given = ("--regions", f"{name}:1-100", *(x for other in others for x in ("--exclude", other)))
    annotate("genome.fa", "-o", "out.gff3", *given)
    line = (folder / "out.gff3").read_text().splitlines()[1]
    assert line.endswith(" " + " ".join(given))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("genome.fa", "genome.fa", "-o", "out.gff3"), "twice"),
        (("genome.fa", "-o", "x", "--proteins", "./x"), "different files"),
        (("genome.fa", "-o", "-", "--cds", "-"), "only one"),
        (("genome.fa", "-o", "genome.fa"), "overwritten"),
        (("genome.fa", "-o", "out.bed.gz"), "would be named .bed"),
        (("genome.fa", "-o", "out.gff3", "--proteins", "../{}/genome.fa"), "overwritten"),
        (("genome.fa", "-o", "-", "--resume"), "--resume"),
        (("genome.fa", "-o", "out.gff3", "--scores", "s", "--resume"), "--resume"),
        (("genome.fa", "-o", "out.gff3", "--min-score", "1.1"), "--min-score"),
        (("genome.fa", "-o", "out.gff3", "--window", "big"), "--window"),
        (("genome.fa", "-o", "out.gff3", "--min-score", "nan"), "--min-score"),
        (("genome.fa", "-o", "out.gff3", "--regions", ""), "it is empty"),
        (("genome.fa", "-o", "out.gff3", *("--regions", "a") * 2), "give it once"),
        (("genome.fa",), "--output"),
        (("-o", "out.gff3"), "GENOME"),
    ],
)
def test_options_that_make_no_sense_are_refused(genes, folder, options, word):
    content = (folder / "genome.fa").read_bytes()
    options = [option.format(folder.name) for option in options]
    refused(genes(*options), word, status=2)
    assert left(folder) == ["genome.fa"]
    assert (folder / "genome.fa").read_bytes() == content


@pytest.mark.parametrize("name", ["out.gff3", "out.gff3.gz", "out.faa", "scores"])
def test_a_full_disk_leaves_nothing(genes, folder, monkeypatch, name):
    from dnaannot.errors import OutputError
    from dnaannot.formats import bigwig, output, score_tracks

    class Full(output._File):
        def write(self, data):
            if name in str(self._path):
                raise output.output_error(self._path, OSError(28, "No space left on device"))
            return super().write(data)

    if name == "scores":
        written = []

        def write_bigwig(path, *arguments):
            if len(written) == 3:
                raise OutputError("No space left on device", path=path)
            bigwig.write_bigwig(path, *arguments)
            written.append(path)

        monkeypatch.setattr(score_tracks, "write_bigwig", write_bigwig)
    else:
        monkeypatch.setattr(output, "_File", Full)
        monkeypatch.setattr(output._Bgzip, "write", Full.write)
    options = ["-o", name if "gff3" in name else "other.gff3", "--cds", "out.fna"]
    options += ["--proteins", "out.faa", "--scores", "scores"]
    done = genes("genome.fa", *options)
    refused(done, name, "space")
    assert left(folder) == ["genome.fa"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_device(genes, folder):
    refused(genes("genome.fa", "-o", "/dev/full"), "/dev/full", "No space left")


def test_what_stood_there_stays_after_a_failure(genes, folder):
    (folder / "out.gff3").write_text("precious\n")
    (folder / "scores").mkdir()
    (folder / "scores" / "cds.plus.bw").write_text("precious too\n")
    (folder / "bad.fa").write_text(">a\nACGT\n>b\nAC*T\n")
    refused(genes("bad.fa", "-o", "out.gff3", "--scores", "scores"), "bad.fa, line 4")
    assert (folder / "out.gff3").read_text() == "precious\n"
    assert (folder / "scores" / "cds.plus.bw").read_text() == "precious too\n"


@pytest.mark.parametrize("where", ["scoring", "decoding"])
def test_an_interrupt_leaves_nothing(genes, folder, monkeypatch, where):
    from dnaannot.predict.genes import GenePredictor
    from dnaannot.predict.scorer import Scorer

    def interrupted(*_):
        raise KeyboardInterrupt

    if where == "scoring":
        monkeypatch.setattr(Scorer, "_emissions", interrupted)
    else:
        monkeypatch.setattr(GenePredictor, "_blocks", interrupted)
    done = genes("genome.fa", "-o", "out.gff3", "--cds", "out.fna", "--scores", "new")
    assert (done.status, done.stderr) == (130, "dnaannot: interrupted\n")
    assert left(folder) == ["genome.fa"]


def test_nothing_but_n(genes, folder):
    (folder / "n.fa").write_text(fasta({"a": "N" * 5_000, "b": "N" * 60}))
    done = genes("n.fa", "-o", "out.gff3", "--proteins", "out.faa", "--scores", "scores")
    assert done.status == 0
    assert "0 genes" in done.stderr
    assert (folder / "out.gff3").read_text().count("##sequence-region") == 2
    assert (folder / "out.faa").read_text() == ""


def test_empty_records_alone(run, folder, tiny_model_file):
    (folder / "void.fa").write_text(">a\n>b\n\n")
    for model in ((), ("--model", tiny_model_file)):
        done = run("genes", "void.fa", "-o", "out.gff3", *model)
        assert done.status == 1
        assert done.stderr.count("is empty, skipped") == 2
        assert done.stderr.splitlines()[2:] == [
            "dnaannot: void.fa: no sequence holds a base. Give a genome."
        ]
    assert left(folder) == ["genome.fa", "void.fa"]
