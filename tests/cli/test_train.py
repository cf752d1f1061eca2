"""`dnaannot train genes` on 120 kb of yeast."""

from __future__ import annotations

import gzip
import json
import os
import sys

import pytest

from dnaannot.formats.gff import read_annotation
from dnaannot.nn.checkpoint import load_gene_model, model_bytes, read_facts
from dnaannot.nn.model import GeneModel
from dnaannot.training.trainer import Trainer

SMALL = ("--preset", "tiny", "--window-bases", "1800", "--batch", "2", "--threads", "1")
NINE_STEPS = (*SMALL, "--steps", "9", "--validate-every", "3", "--warmup", "2")


@pytest.fixture
def folder(tmp_path, monkeypatch, test_data):
    """A working folder with a genome and its annotation."""
    monkeypatch.chdir(tmp_path)
    for source, name in (("fa.gz", "genome.fa"), ("gff3.gz", "genes.gff3")):
        content = (test_data / f"yeast_chrII_120kb.{source}").read_bytes()
        (tmp_path / name).write_bytes(gzip.decompress(content))
    return tmp_path


@pytest.fixture
def train(run, folder):
    def run_train(*arguments, files=("genome.fa", "genes.gff3")):
        done = run("train", "genes", *files, "--device", "cpu", *arguments)
        assert "internal error" not in done.stderr
        return done

    return run_train


def left(folder):
    return sorted(os.listdir(folder))


def refused(done, *words, status=1):
    assert done.status == status, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_is_trained_and_predicts(train, run, folder, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["dnaannot", "train", "genes", "/a/hg/genome.fa", "--steps", "9"]
    )
    done = train(
        *SMALL, "--steps", "30", "--validate-every", "30", "-o", "m.safetensors", "--half",
        "--species", "Saccharomyces cerevisiae", "--licence", "CC0",
    )  # fmt: skip
    assert (done.status, done.stdout) == (0, "")
    assert "genes.gff3: 54 of 54 genes used" in done.stderr
    assert "best at step " in done.stderr
    assert left(folder) == ["genes.gff3", "genome.fa", "m.safetensors", "m.safetensors.report"]
    model, facts = load_gene_model(folder / "m.safetensors")
    assert model.grammar.min_intron == 20
    card = facts["card"]
    assert (card["species"], card["licence"]) == (["Saccharomyces cerevisiae"], "CC0")
    assert set(card["training_data"]) == {"genome.fa", "genes.gff3"}
    assert card["command"] == "dnaannot train genes hg/genome.fa --steps 9"
    assert card["metrics"]["chrII.nucleotide_f1"] > 0.8
    assert 0 < card["metrics"]["confidence"] <= 1

    done = run("genes", "genome.fa", "-o", "out.gff3", "--model", "m.safetensors", "--threads", "1")
    assert done.status == 0
    found = {
        (t.strand, t.start, t.end)
        for t in (annotated.transcript for annotated in read_annotation("out.gff3").transcripts)
    }
    real = {
        (t.strand, t.start, t.end)
        for t in (annotated.transcript for annotated in read_annotation("genes.gff3").transcripts)
    }
    assert len(found & real) > 15

    # training that does harm
    harm = ("--learning-rate", "1", "--warmup", "0", "--steps", "3", "--init", "m.safetensors")
    done = train(*SMALL, *harm, "-o", "n.safetensors")
    assert "best at step 0: " in done.stderr
    assert "No weights were better than those it started from" in done.stderr
    kept = load_gene_model(folder / "n.safetensors")[0].state_dict()
    assert all(value.equal(kept[name]) for name, value in model.state_dict().items())
    report = json.loads((folder / "n.safetensors.report" / "report.json").read_text())
    assert [metrics["step"] for metrics in report["validation"]] == [0, 3, 3, 3]


def test_the_largest_seed(train, folder):
    given = (*SMALL, "--steps", "1", "--validation", "chrII:1-9000", "-o", "m.safetensors")
    assert train(*given, "--seed", "4294967295").status == 0


def test_the_least_intron_is_that_of_the_model_it_starts_from(train, folder, tiny_model):
    model = GeneModel(tiny_model.encoder.config, 31, reach=9)
    model.load_state_dict(tiny_model.state_dict())
    (folder / "m.safetensors").write_bytes(model_bytes(model, {}))
    started = (*SMALL, "--steps", "1", "--init", "m.safetensors", "--validation", "chrII:1-9000")
    for options, least in (((), 31), (("--min-intron", "70"), 70)):
        done = train(*started, "-o", "n.safetensors", *options)
        assert done.status == 0, done.stderr
        started_from, _ = load_gene_model(folder / "n.safetensors")
        assert (started_from.grammar.min_intron, started_from.reach) == (least, 9)


def test_the_report(train, folder):
    train(*NINE_STEPS, "-o", "m.safetensors", "-q")
    report = folder / "m.safetensors.report"
    assert left(report) == ["curves.png", "report.html", "report.json"]
    facts = json.loads((report / "report.json").read_text())
    assert [metrics["step"] for metrics in facts["validation"]] == [3, 6, 9]
    assert len(facts["losses"]) == 9
    assert facts["settings"]["steps"] == 9
    assert facts["data"]["genes.gff3"]["used"] == 54
    assert (report / "curves.png").read_bytes().startswith(b"\x89PNG")
    page = (report / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http-equiv", "")


def test_threads_change_no_bit(train, folder):
    for threads in ("1", "2"):
        train(*NINE_STEPS, "-o", f"{threads}.safetensors", "--threads", threads)
    one, other = (load_gene_model(folder / f"{n}.safetensors")[0].state_dict() for n in (1, 2))
    assert all(one[name].equal(other[name]) for name in one)


@pytest.mark.parametrize("interrupted_after", [2, 5, 9])
def test_a_killed_run_resumed_is_an_undisturbed_one(train, folder, monkeypatch, interrupted_after):
    assert train(*NINE_STEPS, "-o", "whole.safetensors").status == 0
    step = Trainer._step

    def killed(self, number, pool):
        if number == interrupted_after:
            raise KeyboardInterrupt
        return step(self, number, pool)

    def killed_at_the_end(self, path):
        save_state(self, path)
        if self.progress.step == 9:
            raise KeyboardInterrupt

    save_state = Trainer.save_state
    if interrupted_after < 9:
        monkeypatch.setattr(Trainer, "_step", killed)
    else:
        monkeypatch.setattr(Trainer, "save_state", killed_at_the_end)
    done = train(*NINE_STEPS, "-o", "m.safetensors")
    assert (done.status, done.stderr.splitlines()[-1]) == (130, "dnaannot: interrupted")
    monkeypatch.setattr(Trainer, "_step", step)
    monkeypatch.setattr(Trainer, "save_state", save_state)
    if interrupted_after < 3:
        refused(train(*NINE_STEPS, "-o", "m.safetensors", "--resume"), "m.safetensors.state")
        assert train(*NINE_STEPS, "-o", "m.safetensors").status == 0
    else:
        assert "m.safetensors.state" in left(folder)
        other = (*NINE_STEPS, "-o", "m.safetensors", "--resume", "--learning-rate", "0.1")
        refused(train(*other), "m.safetensors.state", "other settings")
        other = (*NINE_STEPS, "-o", "m.safetensors", "--resume", "--exclude", "chrII:1-9000")
        refused(train(*other), "m.safetensors.state", "other settings")
        assert train(*NINE_STEPS, "-o", "m.safetensors", "--resume").status == 0
    one, other = (load_gene_model(folder / f"{n}.safetensors") for n in ("whole", "m"))
    weights = other[0].state_dict()
    assert all(value.equal(weights[name]) for name, value in one[0].state_dict().items())
    assert one[1]["card"]["metrics"] == other[1]["card"]["metrics"]
    reports = [
        json.loads((folder / f"{name}.safetensors.report" / "report.json").read_text())
        for name in ("whole", "m")
    ]
    assert len(reports[0]["losses"]) == 9
    assert all(reports[0][key] == reports[1][key] for key in ("losses", "validation"))
    assert "m.safetensors.state" not in left(folder)


def test_time_budget(train, folder, monkeypatch):
    monkeypatch.setattr(Trainer, "steps_within", lambda self, seconds, trial: int(seconds))
    done = train(*SMALL, "--time-budget", "4s", "-o", "m.safetensors")
    assert "4 steps fit the time budget" in done.stderr
    settings = json.loads((folder / "m.safetensors.report" / "report.json").read_text())
    assert settings["validation"][-1]["step"] == 4
    assert settings["settings"]["time_budget"] == 4


def test_a_resumed_time_budget_keeps_its_settings(train, folder, monkeypatch):
    monkeypatch.setattr(Trainer, "steps_within", lambda self, seconds, trial: 4)
    given = (*SMALL, "--time-budget", "4s", "--validate-every", "2", "-o", "m.safetensors")
    step = Trainer._step

    def killed(self, number, pool):
        if number == 3:
            raise KeyboardInterrupt
        return step(self, number, pool)

    monkeypatch.setattr(Trainer, "_step", killed)
    assert train(*given).status == 130
    monkeypatch.setattr(Trainer, "_step", step)
    for other in (("--learning-rate", "0.1"), ("--warmup", "0"), ("--patience", "3")):
        refused(train(*given, "--resume", *other), "m.safetensors.state", "other settings")
    assert train(*given, "--resume").status == 0
    report = json.loads((folder / "m.safetensors.report" / "report.json").read_text())
    assert report["validation"][-1]["step"] == 4


def test_what_is_validated_on_is_told(train, folder):
    one_step = (*SMALL, "--steps", "1", "-o", "m.safetensors")
    done = train(*one_step, "--validation", "chrII:1-50,000")
    ends = [each.transcript.end for each in read_annotation("genes.gff3").transcripts]
    whole = sum(end <= 50_000 for end in ends)
    assert f"54 of 54 genes used, {whole} of them to validate on\n" in done.stderr
    assert "warning" not in done.stderr
    assert read_facts(folder / "m.safetensors")["card"]["validation"] == ["chrII:1-50,000"]
    done = train(*one_step, "--validation", "chrII:1-9,000", "-q")
    assert done.stderr.startswith("warning: only 4 genes to validate on")


def test_regions_of_a_file_are_those_written_out(train, folder):
    (folder / "held.bed").write_text("chrII\t0\t9000\nchrII\t9000\t15000\n")
    (folder / "out.bed").write_text("#chrom\nchrII\t49999\t2000000\n")
    arms = {
        "text": ("--validation", "chrII:1-9,000", "--validation", "chrII:9,001-15000", "--exclude",
                 "chrII:50,000"),
        "file": ("--validation", folder / "held.bed", "--exclude", "out.bed"),
        "said": ("--validation", "genome.fa=held.bed", "--exclude", "genome.fa=chrII:50,000"),
    }  # fmt: skip
    cards = {}
    for name, regions in arms.items():
        done = train(*SMALL, "--steps", "1", "-o", f"{name}.safetensors", *regions)
        assert done.status == 0, done.stderr
        cards[name] = read_facts(folder / f"{name}.safetensors")["card"]
    for name in ("file", "said"):
        assert cards["text"]["metrics"] == cards[name]["metrics"]
        assert cards["text"]["signatures"] == cards[name]["signatures"]
    hashed = cards["file"]["training_data"].keys()
    assert hashed == {"genome.fa", "genes.gff3", "held.bed", "out.bed"}
    assert cards["file"]["validation"] == [f"{folder.name}/held.bed"]


@pytest.mark.parametrize("option", ["--validation", "--exclude"])
def test_files_of_regions_that_are_wrong(train, folder, option, piped):
    (folder / "r.bed").write_text("#\nchr2\t0\t9000\n")
    given = (*SMALL, "--steps", "1", "-o", "m.safetensors", option)
    refused(train(*given, "r.bed"), "r.bed, line 2", "'chr2'", "'chrII'")
    refused(train(*given, "s.bed"), "s.bed", "no such file")
    refused(train(*given, piped("chrII\t0\t9000\n")), "only once")
    assert left(folder) == ["genes.gff3", "genome.fa", "r.bed"]


def test_a_region_without_genes_cannot_be_validated_on(train, folder):
    done = train(*NINE_STEPS, "-o", "m.safetensors", "--validation", "chrII:2686-2900")
    refused(done, "no usable gene", "'chrII:2,686-2,900'", "--validation")
    assert left(folder) == ["genes.gff3", "genome.fa"]


def test_several_pairs(train, folder, test_data):
    other = (
        test_data / "zymoseptoria_chr13_150kb.fa.gz",
        test_data / "zymoseptoria_chr13_150kb.gff3.gz",
    )
    done = train(
        *SMALL, "--steps", "2", "-o", "m.safetensors", "--shares", "1,3",
        files=("genome.fa", "genes.gff3", *map(str, other)),
    )  # fmt: skip
    assert done.status == 0
    assert len(read_facts(folder / "m.safetensors")["card"]["training_data"]) == 4
    metrics = read_facts(folder / "m.safetensors")["card"]["metrics"]
    assert len([key for key in metrics if key.endswith("gene_f1")]) == 2


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        ((), ["how long to train", "--time-budget"], 2),
        (("--steps", "0"), ["--steps"], 2),
        (("--time-budget", "soon"), ["--time-budget", "45m"], 2),
        (("--time-budget", "0"), ["--time-budget"], 2),
        (("--steps", "1", "--batch", "0"), ["--batch"], 2),
        (("--steps", "1", "--validate-every", "0"), ["--validate-every"], 2),
        (("--steps", "1", "--seed", "-1"), ["--seed"], 2),
        (("--steps", "1", "--seed", "4294967296"), ["--seed"], 2),
        (("--steps", "1", "--min-intron", "3"), ["--min-intron"], 2),
        (("--steps", "1", "--learning-rate", "0"), ["--learning-rate"], 2),
        (("--steps", "1", "--shares", "1,2"), ["--shares", "1 "], 2),
        (("--steps", "1", "--shares", "0"), ["--shares", "positive"], 2),
        (("--steps", "1", "--shares", "half"), ["--shares"], 2),
        (("--steps", "1", "--validation", "chr9"), ["'chr9'"], 1),
        (("--steps", "1", "--validation", "chrII:9-2"), ["chrII:9-2"], 1),
        (("--steps", "1", "--exclude", "chrII:900000-900001"), ["'chrII'", "past the end"], 1),
        (("--steps", "1", "--init", "nonsense"), ["no model named 'nonsense'"], 1),
        (("--steps", "1", "--resume"), ["m.safetensors.state", "without --resume"], 1),
        (("--steps", "1", "-o", "no/folder/m.safetensors"), ["no/folder", "folder first"], 1),
        (("--steps", "1", "-o", "-"), ["standard output"], 2),
        (("--steps", "1", "--time-budget", "1m"), ["--time-budget and --steps each say"], 2),
        (("--steps", "1", "-o", "m.pt"), ["m.pt", "end in .safetensors"], 2),
        (("--steps", "1", "--seeds", "2"), ["--seeds", "--compare-scratch"], 2),
        (("--steps", "1", "--divergence", "nan"), ["--divergence"], 2),
        (("--steps", "1", "-o", "genome.fa"), ["genome.fa: is an input"], 2),
        (("--steps", "1", "-o", "./genes.gff3"), ["genes.gff3: is an input"], 2),
    ],
)
def test_options_that_make_no_sense(train, folder, options, words, status):
    refused(train("-o", "m.safetensors", *SMALL, *options), *words, status=status)
    assert left(folder) == ["genes.gff3", "genome.fa"]


def test_the_state_of_an_interrupted_run_is_not_lost(train, folder):
    (folder / "m.safetensors.state").write_bytes(b"hours of work")
    refused(train(*NINE_STEPS, "-o", "m.safetensors"), "m.safetensors.state", "--resume")
    assert left(folder) == ["genes.gff3", "genome.fa", "m.safetensors.state"]
    assert (folder / "m.safetensors.state").read_bytes() == b"hours of work"


def test_a_pair_is_given_once(train, folder):
    files = ("genome.fa", "genes.gff3") * 2
    refused(train(*NINE_STEPS, "-o", "m.safetensors", files=files), "given twice", status=2)


def test_every_validation_is_told(train):
    done = train(*SMALL, "--steps", "4", "--validate-every", "2", "-o", "m.safetensors")
    told = [line for line in done.stderr.splitlines() if line.startswith("step ")]
    assert [line.partition(":")[0] for line in told] == ["step 2 of 4", "step 4 of 4"]
    assert all("chrII.exon_f1 " in line and "score " in line for line in told)


def test_a_pipe_is_refused(train, folder, piped):
    files = ("genome.fa", piped("##gff-version 3\n"))
    done = train(*NINE_STEPS, "-o", "m.safetensors", files=files)
    refused(done, f"{files[1]}: This can be read only once", "Write it to a file")
    assert left(folder) == ["genes.gff3", "genome.fa"]


@pytest.mark.parametrize("start", ["--init", "--encoder"])
def test_the_model_it_starts_from_is_not_overwritten(train, folder, tiny_model_file, start):
    given = (*SMALL, "--steps", "1", start, tiny_model_file, "-o")
    refused(train(*given, tiny_model_file), "is an input, it would be overwritten", status=2)
    (folder / "link.safetensors").symlink_to(tiny_model_file)
    refused(train(*given, "link.safetensors"), "is an input, it would be overwritten", status=2)


def test_a_genome_is_given_before_its_annotation(train):
    done = train("--genome", "genome.fa", "-o", "m.safetensors", files=("genes.gff3",))
    refused(done, "--genome goes with --bend", "without it give pairs: a genome and", status=2)


def test_files_go_in_pairs(train):
    done = train("-o", "m.safetensors", "--steps", "1", files=("genome.fa",))
    refused(done, "pairs", status=2)
    swapped = train("-o", "m.safetensors", "--steps", "1", files=("genes.gff3", "genome.fa"))
    refused(swapped, "genome.fa, line 1", "FASTA")


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (None, ["no such file"]),
        ("", ["empty"]),
        ("##gff-version 3\n", ["no gene can be learned from", "with CDS features"]),
        ("chrII\tx\tCDS\t1\n", ["line 1", "4 columns"]),
        ("chrII\tx\tCDS\ta\t9\t.\t+\t0\tParent=a\n", ["line 1", "not both integers"]),
        ("2\tx\tCDS\t1\t9\t.\t+\t0\tParent=a\n", ["('2')", "chrII", "'chr' or without"]),
        ("chrII\tx\tCDS\t1\t900000\t.\t+\t0\tParent=a\n", ["1 outside the sequence"]),
        ("chrII\tx\tCDS\t1\t9\t.\t+\t0\tID=a\n", ["1 CDS without a transcript"]),
        (
            "chrII\tx\tCDS\t1\t9\t.\t+\t0\tParent=a\nchrII\tx\tCDS\t4\t12\t.\t+\t0\tParent=a\n",
            ["1 CDS that overlap"],
        ),
    ],
)
def test_annotations_with_nothing_to_learn_from(train, folder, annotation, words):
    (folder / "genes.gff3").unlink()
    if annotation is not None:
        (folder / "genes.gff3").write_text(annotation)
    before = left(folder)
    refused(train(*NINE_STEPS, "-o", "m.safetensors"), "genes.gff3", *words)
    assert left(folder) == before


def test_everything_held_out_leaves_nothing_to_learn_from(train):
    done = train(*NINE_STEPS, "-o", "m.safetensors", "--validation", "chrII")
    refused(done, "54 in or near what is held out", "Hold out less")


def test_loci_that_cannot_be_used_are_skipped_and_counted(train, folder):
    text = (folder / "genes.gff3").read_text()
    lines = len(text.splitlines())
    text += "chrII\tx\tCDS\t60001\t60300\t.\t+\t0\tID=orphan\n"
    text += "chrII\tx\tCDS\t121000\t122000\t.\t+\t0\tParent=beyond\n"
    (folder / "genes.gff3").write_text(text)
    done = train(*SMALL, "--steps", "1", "-o", "m.safetensors")
    assert done.status == 0
    assert (
        "54 of 55 genes used, 6 of them to validate on; left out: 1 outside the sequence"
        in done.stderr
    )
    assert f"genes.gff3, line {lines + 1}: CDS without a transcript" in done.stderr


def test_an_output_folder_in_the_way(train, folder):
    (folder / "m.safetensors.report").write_text("a file")
    refused(train(*NINE_STEPS, "-o", "m.safetensors"), "m.safetensors.report", "not a folder")
