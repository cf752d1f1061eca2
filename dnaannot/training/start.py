"""Where a run starts: from random weights, from another model's encoder, or from all of it."""

from __future__ import annotations

from pathlib import Path

from dnaannot.catalog import find
from dnaannot.errors import DataError
from dnaannot.formats.source import file_hash
from dnaannot.nn.checkpoint import check_encoder, load_encoder
from dnaannot.nn.encoder import PRESETS, Encoder
from dnaannot.nn.model import TaskModel


def start_files(*names: str | None) -> list[Path]:
    """The files of the models that a run starts from, by their names or paths.

    Raises:
        ModelError: there is no such model.
    """
    return [find(name).path for name in names if name]


def check_start(encoder: str | None, init: str | None, freeze: bool) -> None:
    """Refuse settings of the start that exclude each other.

    Raises:
        DataError: there are two models to start from, or none whose encoder could be frozen.
    """
    if encoder and init:
        raise DataError("--encoder and --init both say where to start.", remedy="Give one.")
    if freeze and not (encoder or init):
        raise DataError("there is no encoder to freeze.", remedy="Give it by --encoder.")


def start_encoder(name: str, preset: str | None) -> Encoder:
    """The encoder of a model, by its name or path.

    Args:
        preset: what it must be; any by default.

    Raises:
        ModelError: there is no such model, or its encoder is another one.
    """
    return load_encoder(find(name).path, PRESETS[preset] if preset else None)[0]


def check_preset(model: TaskModel, preset: str | None, name: str) -> None:
    """Refuse a model to start from whose encoder is not of the preset asked for.

    Raises:
        ModelError: it is not.
    """
    if preset:
        check_encoder(model.encoder.config, PRESETS[preset], name)


def start_facts(name: str | None) -> dict[str, str]:
    """SHA-256 of the model that a run starts from, by its name; nothing from random weights."""
    if not name:
        return {}
    entry = find(name)
    return {entry.name: file_hash(entry.path)}
