"""`dnaannot models`: what is bundled, and what a model file holds."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection

import click

_LINE, _LONGEST, _MOST_OF_A_KIND = 100, 600, 20


@click.group()
def models() -> None:
    """List the bundled models and show what they were trained on."""


@models.command("list")
def list_models() -> None:
    """Name the bundled models, one a line: name, tasks, size, species."""
    from dnaannot.catalog import bundled

    entries = bundled()
    if not entries:
        click.echo("this installation holds no bundled model.", err=True)
    for entry in entries:
        size = entry.path.stat().st_size / 1e6
        trained_on = ", ".join(entry.card.get("species", [])) or "not stated"
        click.echo(f"{entry.name}\t{', '.join(entry.tasks)}\t{size:.1f} MB\t{trained_on}")


@models.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the whole header as JSON.")
def show_model(name: str, as_json: bool) -> None:
    """Show the card of a model: NAME of a bundled one, or the path of a model file.

    After the card of a bundled model, what its file holds; --json prints all of that.
    """
    from dnaannot.catalog import find

    entry = find(name)
    if as_json:
        click.echo(json.dumps(entry.facts, indent=2, sort_keys=True))
        return
    if entry.description:
        click.echo(entry.description.strip() + "\n")
    facts = {key: value for key, value in entry.facts.items() if key != "card"}
    rows = {"name": entry.name, "file": str(entry.path), **_flat(facts), **_flat(entry.card)}
    shown = {key: value for key, value in rows.items() if not _is_bulky(key, rows)}
    width = max(len(key) for key in shown)
    for key, value in shown.items():
        click.echo(_row(key, value, width))


@models.command("motifs")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write them as matrices in MEME's format, for TOMTOM or FIMO.",
)
def show_motifs(name: str, output: str | None) -> None:
    """List the motifs that a model of tracks has learned, the weightiest first.

    NAME is a bundled model's, or the path of a model file. A line has the motif's number, its
    consensus in IUPAC codes, its information in bits, the track that it counts for most, and what
    its best site adds to that track's logit, beyond the best one in a window of random bases.

    \b
    dnaannot models motifs human_tracks -o motifs.meme
    """  # noqa: D301
    from dnaannot.catalog import find
    from dnaannot.errors import ModelError
    from dnaannot.formats.meme import write_meme
    from dnaannot.nn.checkpoint import load_track_model
    from dnaannot.nn.motif_matrices import motifs_of

    path = find(name).path
    found = motifs_of(load_track_model(path)[0])
    if not found:
        raise ModelError(
            "looks for no motifs.",
            path=path,
            remedy="Train it on from here (train tracks --init), which adds them.",
        )
    if output is not None:
        write_meme(output, [(f"motif{m.name}", m.label, m.frequencies) for m in found])
    for m in found:
        click.echo(f"{m.name}\t{m.consensus}\t{m.bits:.1f}\t{m.label}\t{m.gain:+.2f}")


def _is_bulky(key: str, rows: Collection[str]) -> bool:
    """Whether a fact is left to --json: numbers for programs, and long lists of small facts."""
    group = key.partition(".")[0] + "."
    return key.startswith(("grammar.pairs", "signatures.", "signature_spreads.")) or (
        "." in key and sum(other.startswith(group) for other in rows) > _MOST_OF_A_KIND
    )


def _row(key: str, value: str, width: int) -> str:
    """A fact in lines of the terminal's width or so; a path or a hash is never broken."""
    blank = " " * (width + 2)
    if key == "command" and len(value) > _LONGEST:
        value = value[:_LONGEST] + " ... (whole with --json)"
    text = textwrap.fill(
        (value or "-").replace(" (", "\N{NO-BREAK SPACE}("),
        _LINE,
        initial_indent=f"{key:<{width}}  ",
        subsequent_indent=blank,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _flat(facts: dict, prefix: str = "") -> dict[str, str]:
    """Facts with nested keys joined by a dot and lists by commas."""
    rows: dict[str, str] = {}
    for key, value in facts.items():
        if isinstance(value, dict):
            rows |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            rows[prefix + key] = ", ".join(map(_item, value))
        elif isinstance(value, float):
            rows[prefix + key] = f"{value:.4g}"
        else:
            rows[prefix + key] = str(value)
    return rows


def _item(value: object) -> str:
    """What stands in a list: a pair of labels, a track with its task, or a plain value."""
    if isinstance(value, list):
        return " > ".join(map(str, value))
    if isinstance(value, dict) and {"name", "task"} <= value.keys():
        return f"{value['name']} ({value['task']})"
    return str(value)
