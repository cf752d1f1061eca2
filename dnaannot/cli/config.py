"""`dnaannot config`: what need not be said in every command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import click

from dnaannot.errors import InputFormatError

KEYS = {"genome": "FASTA file that `tracks` and `evaluate tracks` take where -g is not given"}
GENOME_VARIABLE = "DNAANNOT_GENOME"


def config_path() -> Path:
    """The file that holds the settings, in the platform's folder for such files."""
    return Path(click.get_app_dir("dnaannot")) / "config.json"


def read_config() -> dict[str, str]:
    """Every setting.

    Raises:
        InputFormatError: the file is damaged.
    """
    path = config_path()
    if not path.exists():
        return {}
    try:
        settings = json.loads(path.read_text("utf-8"))
        return {str(key): str(value) for key, value in settings.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InputFormatError(
            "The settings cannot be read.",
            path=path,
            remedy="Delete the file, then set them again.",
        ) from error


def find_genome(given: str | None, note: Callable[[str], None]) -> str | None:
    """The genome: the one given, or that of the environment or the settings, which is told.

    Args:
        note: called with what the user should know.

    Raises:
        InputFormatError: the settings are damaged.
    """
    if given:
        return given
    path, origin = os.environ.get(GENOME_VARIABLE), GENOME_VARIABLE
    if not path:
        path, origin = read_config().get("genome"), "`dnaannot config`"
    if path:
        note(f"genome: {path} (from {origin})")
    return path or None


def _write(settings: dict[str, str]) -> None:
    from dnaannot.formats.output import atomic_output, make_folder

    make_folder(config_path().parent)
    with atomic_output(config_path()) as stream:
        json.dump(settings, stream, indent=1, sort_keys=True)
        stream.write("\n")


_key = click.argument("key", type=click.Choice(list(KEYS)), metavar="KEY")


@click.group()
def config() -> None:
    """Keep settings, such as `genome`, the FASTA file of `tracks` and `evaluate tracks`."""


@config.command("set")
@_key
@click.argument("value")
def set_value(key: str, value: str) -> None:
    """Set KEY to VALUE, for example: dnaannot config set genome hg38.fa."""
    path = Path(value).absolute()
    if not path.is_file():
        problem = "This is a folder." if path.is_dir() else "There is no such file."
        raise InputFormatError(problem, path=value, remedy="Give the genome's FASTA file.")
    from dnaannot.formats.source import read_chunks

    if not next(read_chunks(path)).lstrip().startswith(b">"):
        raise InputFormatError(
            "This is no FASTA file.", path=value, remedy="Give the genome's FASTA file."
        )
    _write({**read_config(), key: str(path)})


@config.command("get")
@_key
def get_value(key: str) -> None:
    """Print the value of KEY; exit with 1 if it has none."""
    settings = read_config()
    if key not in settings:
        raise click.ClickException(f"'{key}' is not set.")
    click.echo(settings[key])


@config.command("list")
def list_values() -> None:
    """Print every setting and the file that holds them."""
    for key, value in sorted(read_config().items()):
        click.echo(f"{key}\t{value}")
    click.echo(f"settings are kept in {config_path()}", err=True)


@config.command("unset")
@_key
def unset_value(key: str) -> None:
    """Forget the value of KEY."""
    _write({name: value for name, value in read_config().items() if name != key})
