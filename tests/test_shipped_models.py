"""The script that trains the bundled models: its commands, without the hours that they take."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import click
import pytest

from dnaannot.cli.selfpretrain import selfpretrain
from dnaannot.cli.train import train

SCRIPT = Path(__file__).resolve().parents[1] / "bin" / "train-shipped-models"
TEXTS = {
    "sacCer3.fa.gz": ">chrVIII\nACGT\n>chrVII\nACGT\n",
    "cpg_windows512_labels.tsv.gz": "chrom\tstart\tend\tx\tfold\tlabel\n"
    "chr22\t100\t612\t.\t1\t0\nchr22\t900\t1412\t.\t2\t1\n",
}
COMMANDS: dict[str, click.Command] = {
    "train genes": train.commands["genes"],
    "train tracks": train.commands["tracks"],
    "selfpretrain": selfpretrain,
}
NOT_A_TRAINER = """#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    print(json.dumps(arguments), file=log)
pathlib.Path(arguments[arguments.index("-o") + 1]).touch()
"""
TESTS = {
    "fly_dm6_chr2L": {"chr2L:9,000,001-13,000,000"},
    "aspergillus_fumigatus_chr1-6": {"chr6"},
    "arabidopsis_TAIR10_chr5_0.3-22Mb": {"Chr5:19,000,001-21,700,000"},
    "sacCer3": {"chrVII", "chrIV", "chrIX", "chrXIII"},
    "hg38_chr22": {
        f"chr22:{megabase}000001-{megabase + 1}000000" for megabase in (19, 27, 28, 32, 33, 39, 42)
    },
}
"""What is never trained on, by what the genome's path holds."""


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """The (command, arguments) that the script calls, in order; files of data are empty."""
    folder = tmp_path_factory.mktemp("shipped")
    data, log, python = folder / "data", folder / "log", folder / "path" / "python"
    for name in (
        "human_methylation_IMR90_chr22/cpg_windows512_labels.tsv.gz",
        "yeast_histone_EMP/emp_windows_sacCer3.tsv.gz",
        "genomes/sacCer3.fa.gz",
        "human_encode/hg38/ctcf__k562.bed.gz",
    ):
        (data / "tracks" / name).parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(data / "tracks" / name, "wt") as stream:
            stream.write(TEXTS.get(Path(name).name, ""))
    python.parent.mkdir()
    python.write_text(NOT_A_TRAINER.format(python=sys.executable, log=str(log)))
    python.chmod(0o755)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    out = folder / "models"
    for _ in range(2):  # what is done is not done again
        subprocess.run([SCRIPT, data, out], check=True, env={**os.environ, "PATH": path})
    called = []
    for line in log.read_text().splitlines():
        module, package, *arguments = json.loads(line)
        assert (module, package) == ("-m", "dnaannot")
        words = 1 if arguments[0] == "selfpretrain" else 2
        called.append((" ".join(arguments[:words]), arguments[words:]))
    return out, called


def starts_of(arguments):
    """The models that a stage begins with."""
    options = ("--init", "--encoder")
    return [arguments[at + 1] for at, each in enumerate(arguments) if each in options]


def value_of(arguments, option):
    return arguments[arguments.index(option) + 1]


def test_every_stage_is_a_valid_command(stages):
    for command, arguments in stages[1]:
        context = COMMANDS[command].make_context(command, list(arguments))
        assert context.params["steps"] > 0


def test_every_bundled_model_is_made_once_from_stages_before_it(stages):
    out, called = stages
    made: list[str] = []
    for _, arguments in called:
        assert set(starts_of(arguments)) <= set(made)
        made.append(arguments[arguments.index("-o") + 1])
    assert len(set(made)) == len(made)
    bundled = (SCRIPT.parents[1] / "dnaannot" / "models").glob("*.safetensors")
    assert {str(out / path.name) for path in bundled} <= set(made)


def test_no_stage_sees_a_test_region(stages):
    out, called = stages
    seen = defaultdict(list)
    for command, arguments in called:
        left_out = {arguments[at + 1] for at, a in enumerate(arguments) if a == "--exclude"}
        if command == "selfpretrain":
            bed = Path(value_of(arguments, "--regions"))
            assert bed.read_text() == "chrVIII\t0\t4\n"
            continue
        for genome, regions in TESTS.items():
            if any(genome in each for each in arguments):
                seen[genome].append(Path(value_of(arguments, "-o")).stem)
                assert regions <= left_out
    assert set(seen) == set(TESTS)
    assert seen["hg38_chr22"] == ["human_methylation"]
    assert (out / "IMR90_windows.tsv").read_text() == (
        "chrom\tstart\tend\tIMR90\nchr22\t900\t1412\t1\n"
    )


def test_chr21_only_validates_tracks(stages):
    for command, arguments in stages[1]:
        for at, argument in enumerate(arguments):
            if "GRCh37_chr21" in argument:
                assert (command, arguments[at - 1]) == ("train tracks", "--validation-genome")


def test_what_learned_methylation_starts_nothing(stages):
    for _, arguments in stages[1]:
        starts = [
            arguments[at + 1] for at, a in enumerate(arguments) if a in ("--init", "--encoder")
        ]
        assert not any("methylation" in start for start in starts)
