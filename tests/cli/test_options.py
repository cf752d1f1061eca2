from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from dnaannot.cli.options import BasePairs, compute_options


@pytest.mark.parametrize(
    ("text", "bases"),
    [("20000", 20_000), ("20k", 20_000), ("20kb", 20_000), ("1.5M", 1_500_000), ("12BP", 12)],
)
def test_lengths_may_have_a_suffix(text, bases):
    assert BasePairs().convert(text, None, None) == bases


def test_lengths_may_have_decimals():
    for thousandths in range(1_000, 5_000):
        text = f"{thousandths // 1_000}.{thousandths % 1_000:03}"
        assert BasePairs().convert(text + "k", None, None) == thousandths
        assert BasePairs().convert(text + "M", None, None) == thousandths * 1_000


@pytest.mark.parametrize("text", ["", "k", "-5", "0", "1.5", "2x", "1e4", "nan"])
def test_what_is_no_length_is_refused(text):
    with pytest.raises(click.BadParameter, match="no length in bases"):
        BasePairs().convert(text, None, None)


@click.command()
@compute_options
def show(**values: object) -> None:
    click.echo(repr(sorted(values.items())))


def test_defaults_leave_the_choice_to_the_device():
    values = dict(eval(CliRunner().invoke(show, []).stdout))
    assert values.pop("threads") >= 1
    assert values == {"batch_size": None, "device": "auto", "quiet": False, "window": None}


@pytest.mark.parametrize(
    "arguments", [["--threads", "0"], ["--batch-size", "0"], ["--device", "tpu"]]
)
def test_impossible_values_are_usage_errors(arguments):
    assert CliRunner().invoke(show, arguments).exit_code == 2
