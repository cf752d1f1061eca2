"""The frame of the command line: what it imports, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import click
import pytest

from dnaannot import __version__
from dnaannot.cli import COMMANDS, cli
from dnaannot.errors import InputFormatError

HEAVY = {"torch", "numba", "pysam", "pyBigWig", "matplotlib", "sklearn", "gffutils", "rich"}
WRITTEN = [name for name in COMMANDS if find_spec(f"dnaannot.cli.{name}")]


@pytest.fixture
def failing(monkeypatch):
    """Replace the command `models` by one that raises what it is given."""

    def replace(error: BaseException) -> None:
        @click.command("models")
        def models() -> None:
            raise error

        monkeypatch.setattr(cli, "get_command", lambda ctx, name: models)

    return replace


def imported_by(statement: str) -> set[str]:
    """Top-level modules that a statement loads in a fresh interpreter."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_help_imports_nothing_heavy():
    loaded = imported_by(
        "from click.testing import CliRunner; from dnaannot.cli import cli; "
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0"
    )
    assert "click" in loaded
    assert not loaded & HEAVY


def test_help_names_every_command_in_one_line(run):
    done = run("--help")
    assert done.status == 0
    listed = done.stdout.partition("Commands:")[2].split("\n")[1:]
    assert [line.split()[0] for line in listed if line] == list(COMMANDS)


@pytest.mark.parametrize("name", WRITTEN)
def test_help_line_begins_as_the_commands_own(name):
    command = cli.get_command(click.Context(cli), name)
    assert command.name == name
    own = command.get_short_help_str(limit=100).split()
    assert own[:3] == COMMANDS[name].split()[:3]


@pytest.mark.parametrize("name", WRITTEN)
def test_help_of_a_command_loads_no_torch(name):
    loaded = imported_by(
        "from click.testing import CliRunner; from dnaannot.cli import cli; "
        f"assert CliRunner().invoke(cli, ['{name}', '--help']).exit_code == 0"
    )
    assert not loaded & {"torch", "numba", "matplotlib", "sklearn"}


def test_module_runs_as_the_script_does():
    done = subprocess.run(
        [sys.executable, "-m", "dnaannot", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"dnaannot {__version__}\n")


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], []])
def test_wrong_command_line_exits_with_2(run, arguments):
    done = run(*arguments)
    assert done.status == 2
    assert "Usage: dnaannot" in done.stderr
    assert done.stdout == ""


def test_users_error_is_one_line(run, failing):
    failing(InputFormatError("No '>' here.", path="a.fa", line=3, remedy="Is it FASTA?"))
    done = run("models")
    assert done.status == 1
    assert done.stderr == "dnaannot: a.fa, line 3: No '>' here. Is it FASTA?\n"


def test_system_error_names_the_file(run, failing):
    failing(PermissionError(13, "Permission denied", "out.gff3"))
    done = run("models")
    assert (done.status, done.stderr) == (1, "dnaannot: out.gff3: Permission denied\n")


@pytest.mark.parametrize("device", ["host", "cuda", "cublas", "cpu"])
def test_lack_of_memory_is_no_bug(run, failing, device):
    import torch

    errors = {
        "host": MemoryError(),
        "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        "cublas": RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    }
    if device == "cpu":
        with pytest.raises(RuntimeError) as raised:
            torch.empty(1 << 58)
        errors["cpu"] = raised.value
    failing(errors[device])
    done = run("models")
    assert done.status == 1
    assert done.stderr.startswith("dnaannot: not enough memory.")
    for option in ("--window", "--batch", "--window-bases", "--stretch-bases"):
        assert re.search(rf"{option}\b(?!-)", done.stderr)


def test_bug_is_reported_without_traceback(run, failing):
    failing(ZeroDivisionError("oops"))
    done = run("models")
    assert done.status == 1
    assert "ZeroDivisionError: oops" in done.stderr
    assert "DNAANNOT_DEBUG=1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("by", ["option", "environment"])
def test_debug_shows_the_traceback(run, failing, monkeypatch, by):
    failing(InputFormatError("No '>' here."))
    if by == "environment":
        monkeypatch.setenv("DNAANNOT_DEBUG", "1")
    done = run(*["--debug"] * (by == "option"), "models")
    assert done.status == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("dnaannot: No '>' here.\n")


def test_interrupt_exits_with_130(run, failing):
    failing(KeyboardInterrupt())
    done = run("models")
    assert (done.status, done.stderr) == (130, "dnaannot: interrupted\n")


def test_end_of_file_inside_a_reader_is_no_interrupt(run, failing):
    failing(EOFError("Compressed file ended"))
    done = run("models")
    assert done.status == 1
    assert "Compressed file ended" in done.stderr


def test_reader_that_goes_away_is_no_error():
    code = (
        "import click; from dnaannot.cli import cli, main\n"
        "@click.command()\n"
        "def models():\n"
        "    for _ in range(100_000): print('line')\n"
        "cli.get_command = lambda ctx, name: models\n"
        "main(['models'])"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout.readline() == b"line\n"
    writer.stdout.close()
    assert writer.stderr.read() == b""
    assert writer.wait() == 141


@pytest.fixture
def sleeping(tmp_path):
    """A function that starts a command and returns it with the file that it removes at its end."""
    leftover = tmp_path / "partial"
    code = (
        "import click, pathlib, time; from dnaannot.cli import cli, main\n"
        f"leftover = pathlib.Path({str(leftover)!r})\n"
        "@click.command()\n"
        "def models():\n"
        "    try:\n"
        "        leftover.touch(); time.sleep(60)\n"
        "    finally:\n"
        "        time.sleep(0.3); leftover.unlink()\n"
        "cli.get_command = lambda ctx, name: models\n"
        "main(['models'])"
    )

    def start(*before):
        command = [*before, sys.executable, "-c", code]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        while not leftover.exists() and process.poll() is None:
            time.sleep(0.02)
        return process, leftover

    return start


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_termination_runs_cleanup(sleeping, signum, status):
    process, leftover = sleeping()
    for _ in range(2):
        os.kill(process.pid, signum)
        time.sleep(0.1)
    assert process.wait() == status
    assert process.stderr.read() == b""
    assert not leftover.exists()


def test_a_command_under_nohup_outlives_its_terminal(sleeping):
    process, leftover = sleeping("nohup")
    os.kill(process.pid, signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    assert leftover.exists()
    process.terminate()
    assert process.wait() == 143


@pytest.mark.parametrize(
    ("word", "meant"), [("gene", "genes"), ("pretrain", "selfpretrain"), ("xyz", None)]
)
def test_a_command_that_is_not_there(run, word, meant):
    done = run(word)
    assert done.status == 2
    assert f"there is no command '{word}'." in done.stderr
    assert (f"Do you mean '{meant}'?" in done.stderr) == bool(meant)
