"""The documentation agrees with the program."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from dnaannot.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("test_data/*.md")])
LINK = re.compile(r"\]\(([^)#:\s]+)?(#[^)]+)?\)")


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text()):
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), f"{page.name} links to {target}, which does not exist"
        assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}{anchor}"


@pytest.mark.skipif(
    any(find_spec(f"dnaannot.cli.{name}") is None for name in COMMANDS),
    reason="not every command is written yet",
)
def test_command_reference_is_up_to_date():
    done = subprocess.run(
        [sys.executable, ROOT / "bin" / "make-docs", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_readme_begins_with_its_two_commands():
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks[0].startswith("pip install . && dnaannot genes test_data/")
    assert blocks[1] == "pip install '.[test]' && bin/check\n"
    data = re.search(r"test_data/\S+", blocks[0])
    assert data
    assert (ROOT / data[0]).exists()


CALL = re.compile(r"(?:^(?:\$ )?|&& |\| )dnaannot ((?:'[^']*'|[^'|&>#])+)")


def commands_of(page: Path) -> list[list[str]]:
    """The arguments of each call of dnaannot in the shell blocks of a page."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [re.sub(r"\$\w+", "2", call) for line in lines for call in CALL.findall(line)]
    calls = [shlex.split(call) for call in found]
    return [call for call in calls if "..." not in call and "--help" not in call]


def parsed(arguments: list[str]) -> click.Context:
    """The context of a call that is parsed and not run."""
    command: click.Command = cli
    context = None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        name, *arguments = arguments
        found = command.get_command(context, name)
        assert found is not None, f"no command {name}"
        command = found
    return command.make_context(name, arguments, parent=context)


CALLS = [(page, call) for page in PAGES for call in commands_of(page)]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Path) else shlex.join(value)[:70]


@pytest.mark.parametrize(("page", "call"), CALLS, ids=name_of)
def test_commands_in_the_documentation_parse(page, call):
    assert not parsed(call).args


def test_commands_are_found_and_wrong_ones_refused():
    assert len(CALLS) > 40
    with pytest.raises(click.UsageError):
        parsed(["genes", "a.fa", "-o", "b.gff3", "--no-such-option"])


def test_the_walk_through_both_steps_runs(run, tmp_path, monkeypatch):
    (tmp_path / "test_data").symlink_to(ROOT / "test_data")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "training.md").read_text()
    walk = page[page.index("## A lab's walk") : page.index("**4. ")]
    (tmp_path / "walk.md").write_text(walk)
    calls = commands_of(tmp_path / "walk.md")
    assert [call[0] for call in calls] == ["selfpretrain", "train", "genes", "evaluate"]
    at = calls[1].index("--compare-scratch")
    del calls[1][at : at + 3]
    for call in calls:
        for option in {"--steps", "--validate-every"} & set(call):
            call[call.index(option) + 1] = "2"
        done = run(*call)
        assert done.status == 0, done.stderr
    assert "matched" in done.stdout
