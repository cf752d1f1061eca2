"""The documentation agrees with the program."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from dnaannot.cli import COMMANDS

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
