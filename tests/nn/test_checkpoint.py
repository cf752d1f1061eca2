from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load, save

from dnaannot.catalog import find
from dnaannot.errors import ModelError
from dnaannot.nn.checkpoint import FORMAT_VERSION, load_gene_model, model_bytes, read_facts
from dnaannot.nn.encoder import PRESETS, EncoderConfig
from dnaannot.nn.model import GeneModel

CARD = {"species": ["Homo sapiens"], "metrics": {"gene": 0.5}}


@pytest.fixture
def model():
    torch.manual_seed(4)
    model = GeneModel(PRESETS["tiny"], min_intron=31)
    torch.nn.init.normal_(model.pair_weights)
    return model


@pytest.fixture
def path(model, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_bytes(model, CARD))
    return path


def rewrite(path, **changes):
    """Change facts in the header of a model file; None leaves one out."""
    facts = {**read_facts(path), **changes}
    facts = {key: value for key, value in facts.items() if value is not None}
    path.write_bytes(save(load(path.read_bytes()), metadata={"dnaannot": json.dumps(facts)}))


def test_round_trip(model, path):
    loaded, facts = load_gene_model(path)
    assert not loaded.training
    assert loaded.encoder.config == model.encoder.config
    assert loaded.grammar.min_intron == 31
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert facts == read_facts(path)
    assert facts["card"] == CARD
    assert (facts["task"], facts["halo"]) == ("genes", model.halo)
    tokens = torch.randint(0, 5, (1, 90)).to(torch.uint8)
    assert torch.equal(loaded(tokens), model.eval()(tokens))


def test_base_resolution_model(tmp_path):
    model = GeneModel(EncoderConfig("residual", 8, (1, 2)))
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_bytes(model, {}))
    assert load_gene_model(path)[0].encoder.config == model.encoder.config


def test_half_precision_halves_the_file(model, path, tmp_path):
    half = tmp_path / "half.safetensors"
    half.write_bytes(model_bytes(model, CARD, torch.float16))
    assert half.stat().st_size < 0.65 * path.stat().st_size
    loaded, _ = load_gene_model(half)
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        kept = model.state_dict()[name]
        kept = kept.bfloat16() if name.startswith("head.") else kept
        assert torch.equal(value, kept.half().float())


def test_the_same_model_gives_the_same_bytes(model):
    assert model_bytes(model, CARD) == model_bytes(model, CARD)


def test_format_version_1_is_what_is_written(path):
    assert read_facts(path)["format_version"] == FORMAT_VERSION == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 2}, "format version 2; this dnaannot reads version 1"),
        ({"format_version": None}, "format version None"),
        ({"task": "tracks"}, "for 'tracks', not for genes"),
        ({"labels": ["a"]}, "other labels"),
        ({"labels": None}, "other labels"),
        ({"encoder": {"kind": "strided"}}, "describes no model"),
        ({"encoder": None}, "describes no model"),
        ({"encoder": {"kind": "new", "channels": 3, "dilations": [1]}}, "describes no model"),
        ({"grammar": {"min_intron": 2}}, "describes no model"),
        ({"grammar": {"min_intron": 31, "pairs": [["a", "b"]]}}, "another grammar"),
    ],
)
def test_headers_that_do_not_fit(path, changes, words):
    rewrite(path, **changes)
    with pytest.raises(ModelError, match=words) as caught:
        load_gene_model(path)
    assert caught.value.path == path


def test_weights_that_do_not_fit_the_header(path):
    encoder = {**read_facts(path)["encoder"], "channels": 33}
    rewrite(path, encoder=encoder)
    with pytest.raises(ModelError, match="weights that do not fit"):
        load_gene_model(path)


@pytest.mark.parametrize("length", [0, 1, 7, 100, 5_000, -1])
def test_truncated_files(path, length):
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    with pytest.raises(ModelError, match="truncated"):
        load_gene_model(path)


def test_other_files(path, tmp_path):
    with pytest.raises(ModelError, match="no such model file"):
        read_facts(tmp_path / "missing.safetensors")
    with pytest.raises(ModelError, match="no such model file"):
        read_facts(tmp_path)
    pickled = tmp_path / "model.pt"
    torch.save({"a": torch.zeros(3)}, pickled)
    with pytest.raises(ModelError, match="never pickles"):
        read_facts(pickled)
    path.write_bytes(save({"a": torch.zeros(3)}))
    with pytest.raises(ModelError, match="no dnaannot model"):
        read_facts(path)
    for header in ("nonsense", "[]"):
        path.write_bytes(save({"a": torch.zeros(3)}, metadata={"dnaannot": header}))
        with pytest.raises(ModelError, match="header"):
            read_facts(path)


@pytest.mark.parametrize("name", ["fly", "fungi", "plants", "human"])
def test_bundled_heads_are_the_same_in_either_precision(name):
    """Else labels' scores shift against each other, which adds up over long introns."""
    model, _ = load_gene_model(find(name).path)
    for value in model.head.parameters():
        assert torch.equal(value, value.bfloat16().float())
