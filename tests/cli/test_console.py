from __future__ import annotations

import pytest

from dnaannot.cli.console import Console, amount, duration


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 b"), (999, "999 b"), (1000, "1 kb"), (1234, "1.23 kb"), (99_960, "100 kb"),
     (999_600, "1 Mb"), (34.5e6, "34.5 Mb"), (5e12, "5,000 Gb")],
)  # fmt: skip
def test_bases_have_three_digits(value, text):
    assert amount(value) == text


def test_other_units_are_counted_plainly():
    assert amount(12_000, "steps") == "12,000 steps"
    assert amount(2.345, "steps") == "2.35 steps"


@pytest.mark.parametrize(("seconds", "text"), [(7.4, "0:07"), (750, "12:30"), (11_100, "3:05:00")])
def test_durations_read_as_a_clock(seconds, text):
    assert duration(seconds) == text


def test_notes_and_warnings_go_to_stderr(capfd):
    console = Console()
    console.note("chose [fly] for HLA:A:01")
    console.warn("empty record HLA:A:01")
    told = "chose [fly] for HLA:A:01\nwarning: empty record HLA:A:01\n"
    assert capfd.readouterr() == ("", told)


def test_quiet_keeps_warnings_only(capfd):
    console = Console(quiet=True)
    console.note("chose [fly]")
    console.warn("empty record")
    assert capfd.readouterr() == ("", "warning: empty record\n")


def test_progress_is_silent_away_from_a_terminal(capfd):
    with Console().progress("genes") as on_progress:
        on_progress(5, 10)
    assert capfd.readouterr() == ("", "")


def test_progress_on_a_terminal_counts_bases(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with Console().progress("genes of HLA:A:01") as on_progress:
        on_progress(5_000, 20_000)
    stdout, stderr = capfd.readouterr()
    assert "HLA:A:01" in stderr
    assert stdout == ""
    assert "5 kb of 20 kb" in stderr
    assert "left" in stderr
