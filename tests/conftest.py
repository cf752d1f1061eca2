"""Fixtures of all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dnaannot.cli import main

ROOT = Path(__file__).resolve().parents[1]


class Finished(NamedTuple):
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of small real sequences and annotations."""
    return ROOT / "test_data"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run `dnaannot` with these arguments in this process, as the console script does."""

    def run_main(*arguments: object) -> Finished:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Finished(int(ended.value.code or 0), *capfd.readouterr())

    return run_main
