"""Where a run starts: from random weights, from another model's encoder, or from all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dnaannot.catalog import find
from dnaannot.errors import SettingsError
from dnaannot.formats.source import file_hash
from dnaannot.nn.checkpoint import check_encoder, load_encoder
from dnaannot.nn.encoder import PRESETS, EncoderConfig
from dnaannot.nn.model import TaskModel

Model = TypeVar("Model", bound=TaskModel)


def start_files(*names: str | None) -> list[Path]:
    """The files of the models that a run starts from, by their names or paths.

    Raises:
        ModelError: there is no such model.
    """
    return [find(name).path for name in names if name]


def check_start(encoder: str | None, init: str | None, freeze: bool) -> None:
    """Refuse settings of the start that exclude each other.

    Raises:
        SettingsError: there are two models to start from, or none whose encoder could be frozen.
    """
    if encoder and init:
        raise SettingsError("--encoder and --init both say where to start.", remedy="Give one.")
    if freeze and not (encoder or init):
        raise SettingsError("there is no encoder to freeze.", remedy="Give it by --encoder.")


def with_encoder(name: str, preset: str | None, build: Callable[[EncoderConfig], Model]) -> Model:
    """A new model with the encoder of another one, which is given by its name or path.

    Args:
        preset: what the encoder must be; any by default.
        build: makes the model, of random weights.

    Raises:
        ModelError: there is no such model, or its encoder is another one.
    """
    encoder, _ = load_encoder(find(name).path, PRESETS[preset] if preset else None)
    model = build(encoder.config)
    model.encoder.load_state_dict(encoder.state_dict())
    return model


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
