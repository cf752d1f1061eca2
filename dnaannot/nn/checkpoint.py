"""Model files: one safetensors file whose header holds every fact of the model as JSON.

Loading executes nothing: tensors and a JSON string are all there is. A file is of one task
("genes", "tracks", "encoder", "bend"); whatever its task, its encoder can be loaded alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dnaannot.dna.grammar import LABELS
from dnaannot.errors import ModelError
from dnaannot.nn.encoder import Encoder, EncoderConfig, build_encoder
from dnaannot.nn.masked import MaskedModel
from dnaannot.nn.model import GeneModel, TaskModel
from dnaannot.nn.nine_labels import NineLabelModel
from dnaannot.nn.tracks import TrackModel

FORMAT_VERSION = 1
_OTHER_VERSION = "Install the dnaannot version that wrote it, or train the model again."
_HEADER, _ENCODER, _OUTPUT = "dnaannot", "encoder.", "head."

Model = TypeVar("Model", bound=TaskModel)
Build = Callable[[dict[str, Any], EncoderConfig], Model]
"""Makes a model, its weights still random, from the facts in its header."""


def model_bytes(
    model: TaskModel, card: dict[str, Any], dtype: torch.dtype = torch.float32
) -> bytes:
    """The model file's bytes: weights as `dtype` and, in the header, its facts and `card`.

    Of float16 weights those of the head are rounded to what bfloat16 holds too. Rounded as it
    computes alone, they would shift the scores of labels against each other, a little a base and
    much over a long intron, and float32 would give other genes than bfloat16.

    Args:
        card: what else is known of the model (training data, command, metrics, licence).
    """
    facts = {
        "format_version": FORMAT_VERSION,
        "task": model.task,
        "encoder": asdict(model.encoder.config),
        "halo": model.halo,
        **model.facts(),
        "card": card,
    }
    tensors = {}
    for name, value in model.state_dict().items():
        kept = value.detach().to("cpu")
        if dtype == torch.float16 and name.startswith(_OUTPUT):
            kept = kept.to(torch.bfloat16)
        tensors[name] = kept.to(dtype).contiguous()
    return save(tensors, metadata={_HEADER: json.dumps(facts, sort_keys=True)})


def read_facts(path: str | Path) -> dict[str, Any]:
    """The JSON facts of a model file, without its weights.

    Raises:
        ModelError: if it is missing, no model file, truncated or of another format version.
    """
    with _opened(path) as file:
        header = (file.metadata() or {}).get(_HEADER)
    if header is None:
        raise ModelError(
            "is a safetensors file but no dnaannot model.",
            path=path,
            remedy="Give a model that dnaannot trained, or a bundled one (dnaannot models list).",
        )
    try:
        facts = json.loads(header)
        version = facts.get("format_version")
    except (ValueError, AttributeError):
        raise ModelError(
            "has a header that cannot be read.", path=path, remedy="Copy or download it again."
        ) from None
    if version != FORMAT_VERSION:
        raise ModelError(
            f"has model format version {version}; this dnaannot reads version {FORMAT_VERSION}.",
            path=path,
            remedy=_OTHER_VERSION,
        )
    return facts


def load_model(path: str | Path, task: str, build: Build[Model]) -> tuple[Model, dict[str, Any]]:
    """A model of one task in evaluation mode, float32 on the CPU, and its facts.

    Args:
        task: what the model must be for.
        build: (facts, encoder config) -> a model of random weights; what it raises for facts
            that are missing or wrong (KeyError, TypeError, ValueError, RuntimeError) becomes a
            ModelError about `path`.

    Raises:
        ModelError: as `read_facts`, or if the model is of another task, or its weights do not
            fit what its header says.
    """
    facts = read_facts(path)
    if facts.get("task") != task:
        raise ModelError(
            f"is a model for {facts.get('task')!r}, not for {task}.",
            path=path,
            remedy="`dnaannot models list` names the bundled models and their tasks.",
        )
    try:
        model = build(facts, _encoder_config(facts))
    except ModelError as error:
        raise ModelError(error.problem, path=path, remedy=error.remedy) from None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"describes no model in its header: {error}", path=path) from None
    _fill(model, _tensors(path), path)
    return model.eval(), facts


def load_gene_model(path: str | Path) -> tuple[GeneModel, dict[str, Any]]:
    """A gene model in evaluation mode, float32 on the CPU, and its facts.

    Raises:
        ModelError: as `load_model`, or if its labels or grammar are not this dnaannot's.
    """
    return load_model(path, "genes", _gene_model)


def load_masked_model(path: str | Path) -> tuple[MaskedModel, dict[str, Any]]:
    """A self-pretrained encoder with its head, float32 on the CPU, and its facts.

    Raises:
        ModelError: as `load_model`.
    """
    return load_model(path, "encoder", lambda _, config: MaskedModel(config))


def load_track_model(path: str | Path) -> tuple[TrackModel, dict[str, Any]]:
    """A track model in evaluation mode, float32 on the CPU, and its facts.

    Raises:
        ModelError: as `load_model`.
    """
    return load_model(path, "tracks", TrackModel.of_facts)


def load_nine_label_model(path: str | Path) -> tuple[NineLabelModel, dict[str, Any]]:
    """A model of BEND's nine labels in evaluation mode, float32 on the CPU, and its facts.

    Raises:
        ModelError: as `load_model`.
    """
    return load_model(path, "bend", lambda facts, config: NineLabelModel(config, facts["crf"]))


def load_encoder(
    path: str | Path, config: EncoderConfig | None = None
) -> tuple[Encoder, dict[str, Any]]:
    """The encoder of a model file of any task, float32 on the CPU, and the file's facts.

    Args:
        config: what the encoder must be; any by default.

    Raises:
        ModelError: as `read_facts`, or if the file's encoder is another one than `config`, or
            its weights do not fit what its header says.
    """
    facts = read_facts(path)
    try:
        encoder = build_encoder(_encoder_config(facts))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"describes no encoder in its header: {error}", path=path) from None
    if config is not None:
        check_encoder(encoder.config, config, path)
    tensors = {
        name.removeprefix(_ENCODER): value
        for name, value in _tensors(path).items()
        if name.startswith(_ENCODER)
    }
    _fill(encoder, tensors, path)
    return encoder, facts


def check_encoder(found: EncoderConfig, wanted: EncoderConfig, path: str | Path) -> None:
    """Refuse a model whose encoder is not the one asked for.

    Raises:
        ModelError: it is another one; the message tells a difference.
    """
    if found != wanted:
        raise ModelError(
            f"holds another encoder than asked for: {_difference(found, wanted)}.",
            path=path,
            remedy="Leave out --preset, or pretrain an encoder with that preset.",
        )


def _gene_model(facts: dict[str, Any], config: EncoderConfig) -> GeneModel:
    if facts.get("labels") != list(LABELS):
        raise ModelError("scores other labels than this dnaannot's grammar.", remedy=_OTHER_VERSION)
    model = GeneModel(config, facts["grammar"]["min_intron"], facts.get("start_reach"))
    if facts["grammar"].get("pairs") != [list(pair) for pair in model.grammar.pairs]:
        raise ModelError(
            "was trained for another grammar than this dnaannot's.", remedy=_OTHER_VERSION
        )
    return model


def _encoder_config(facts: dict[str, Any]) -> EncoderConfig:
    return EncoderConfig(**{**facts["encoder"], "dilations": tuple(facts["encoder"]["dilations"])})


def _difference(found: EncoderConfig, wanted: EncoderConfig) -> str:
    """The first field in which two configurations differ, in words."""
    ours, theirs = asdict(found), asdict(wanted)
    name = next(name for name in ours if ours[name] != theirs[name])
    return f"its {name.replace('_', ' ')} is {ours[name]}, not {theirs[name]}"


def _fill(module: nn.Module, tensors: dict[str, Tensor], path: str | Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"holds weights that do not fit its header: {error}", path=path) from None


def _tensors(path: str | Path) -> dict[str, Tensor]:
    with _opened(path) as file:
        return {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118


def _opened(path: str | Path) -> Any:
    """The file, opened as safetensors."""
    if not Path(path).is_file():
        raise ModelError(
            "no such model file.",
            path=path,
            remedy="Check the path, or name a bundled model (dnaannot models list).",
        )
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"is no safetensors model file or is truncated ({error}).",
            path=path,
            remedy="dnaannot loads only .safetensors files, never pickles (.pt, .pkl).",
        ) from None
