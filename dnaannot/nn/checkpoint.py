"""Model files: one safetensors file whose header holds every fact of the model as JSON.

Loading executes nothing: tensors and a JSON string are all there is.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dnaannot.dna.grammar import LABELS
from dnaannot.errors import ModelError
from dnaannot.nn.encoder import EncoderConfig
from dnaannot.nn.model import GeneModel

FORMAT_VERSION = 1
_HEADER = "dnaannot"


def model_bytes(
    model: GeneModel, card: dict[str, Any], dtype: torch.dtype = torch.float32
) -> bytes:
    """The model file's bytes: weights as `dtype` and, in the header, its facts and `card`.

    Args:
        card: what else is known of the model (training data, command, metrics, licence).
    """
    facts = {
        "format_version": FORMAT_VERSION,
        "task": "genes",
        "encoder": asdict(model.encoder.config),
        "labels": list(LABELS),
        "grammar": {"min_intron": model.grammar.min_intron, "pairs": model.grammar.pairs},
        "halo": model.halo,
        "card": card,
    }
    tensors = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in model.state_dict().items()
    }
    return save(tensors, metadata={_HEADER: json.dumps(facts, sort_keys=True)})


def read_facts(path: str | Path) -> dict[str, Any]:
    """The JSON facts of a model file, without its weights.

    Raises:
        ModelError: if it is missing, no model file, truncated or of another format version.
    """
    with _opened(path) as file:
        header = (file.metadata() or {}).get(_HEADER)
    if header is None:
        raise ModelError("is a safetensors file but no dnaannot model.", path=path)
    try:
        facts = json.loads(header)
        version = facts.get("format_version")
    except (ValueError, AttributeError):
        raise ModelError("has a header that cannot be read.", path=path) from None
    if version != FORMAT_VERSION:
        raise ModelError(
            f"has model format version {version}; this dnaannot reads version {FORMAT_VERSION}.",
            path=path,
            remedy="Install the dnaannot version that wrote it, or train the model again.",
        )
    return facts


def load_gene_model(path: str | Path) -> tuple[GeneModel, dict[str, Any]]:
    """A gene model in evaluation mode, float32 on the CPU, and its facts.

    Raises:
        ModelError: as `read_facts`, or if the model is of another task, or its weights do not
            fit what its header says.
    """
    facts = read_facts(path)
    if facts.get("task") != "genes":
        raise ModelError(
            f"is a model for {facts.get('task')!r}, not for genes.",
            path=path,
            remedy="`dnaannot models list` names the gene models.",
        )
    if facts.get("labels") != list(LABELS):
        raise ModelError("scores other labels than this dnaannot's grammar.", path=path)
    try:
        encoder = {**facts["encoder"], "dilations": tuple(facts["encoder"]["dilations"])}
        model = GeneModel(EncoderConfig(**encoder), facts["grammar"]["min_intron"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"describes no model in its header: {error}", path=path) from None
    if facts["grammar"].get("pairs") != [list(pair) for pair in model.grammar.pairs]:
        raise ModelError("was trained for another grammar than this dnaannot's.", path=path)
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"holds weights that do not fit its header: {error}", path=path) from None
    return model.eval(), facts


def _opened(path: str | Path) -> Any:
    """The file, opened as safetensors."""
    if not Path(path).is_file():
        raise ModelError("no such model file.", path=path)
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"is no safetensors model file or is truncated ({error}).",
            path=path,
            remedy="dnaannot loads only .safetensors files, never pickles (.pt, .pkl).",
        ) from None
