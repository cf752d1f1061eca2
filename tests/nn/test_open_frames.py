from __future__ import annotations

import numpy as np
import pytest
import torch

from dnaannot.dna.grammar import MINUS, START
from dnaannot.dna.sequence import decode, encode, reverse_complement
from dnaannot.nn.checkpoint import load_gene_model, model_bytes, read_facts
from dnaannot.nn.encoder import PAD, PRESETS
from dnaannot.nn.model import GeneModel
from dnaannot.nn.open_frames import inner_starts

STOPS = ("TAA", "TAG", "TGA")


def is_inner(bases, at, reach):
    """Read codon by codon upstream from the ATG at `at`."""
    if bases[at : at + 3] != "ATG":
        return False
    for start in range(at - 3, max(-1, at - reach - 1), -3):
        codon = bases[start : start + 3]
        if codon in STOPS or "N" in codon:
            return False
        if codon == "ATG":
            return True
    return False


def on(mask):
    return mask.nonzero().flatten().tolist()


@pytest.fixture
def codes():
    """Bases among which ATG and stops are frequent, and a few unknown ones."""
    random = np.random.default_rng(5)
    words = ["ATG", "ATG", "TAA", "TGA", "CCT", "GCA", "A", "TG", "C", "N"]
    parts = random.choice(words, 300, p=[0.2, 0.1, 0.06, 0.04, 0.2, 0.2, 0.07, 0.06, 0.06, 0.01])
    return encode("".join(parts).encode())


@pytest.mark.parametrize("reach", [0, 3, 30, 3000])
@pytest.mark.parametrize("trimmed", [0, 1, 2])
def test_equals_reading_codon_by_codon(codes, reach, trimmed):
    codes = codes[: len(codes) - trimmed]
    plus, minus = inner_starts(torch.from_numpy(codes)[None], reach)
    other = reverse_complement(codes)
    for mask, bases in ((plus[0], decode(codes)), (minus[0].flip(0), decode(other))):
        assert on(mask) == [i for i in range(len(codes)) if is_inner(bases, i, reach)]
        assert (reach >= 30) <= bool(mask.any())


def test_padding_and_unknown_bases_close_the_frame():
    for code in (encode(b"N")[0], PAD):
        tokens = torch.from_numpy(encode(b"ATGCCCCCCATG"))[None].clone()
        assert on(inner_starts(tokens, 30)[0][0]) == [9]
        tokens[0, 5] = int(code)
        assert not inner_starts(tokens, 30)[0].any()


def test_a_window_with_its_halo_sees_what_the_sequence_does(codes):
    tokens = torch.from_numpy(codes)[None]
    whole, reach = inner_starts(tokens, 60), 60
    for start in (97, 200, 301):
        part = inner_starts(tokens[:, start : start + 300], reach)
        for strand in range(2):
            kept = whole[strand][:, start + 63 : start + 237]
            assert torch.equal(part[strand][:, 63:237], kept)


@pytest.fixture
def model():
    torch.manual_seed(4)
    return GeneModel(PRESETS["tiny"], min_intron=31).eval()


def test_model_adds_its_weight_there_alone(model, codes):
    length = len(codes) // model.encoder.config.stride * model.encoder.config.stride
    tokens = torch.from_numpy(codes[:length])[None]
    before = model(tokens)
    with torch.no_grad():
        model.inner_start.fill_(-2.5)
    added = (model(tokens) - before).detach()
    plus, minus = inner_starts(tokens, model.reach)
    assert plus.any()
    assert minus.any()
    assert torch.allclose(added[..., START], -2.5 * plus, atol=1e-5)
    assert torch.allclose(added[..., START + MINUS], -2.5 * minus, atol=1e-5)
    added[..., [START, START + MINUS]] = 0
    assert not added.any()


def test_weight_is_learnt(model, codes):
    length = len(codes) // model.encoder.config.stride * model.encoder.config.stride
    tokens = torch.from_numpy(codes[:length])[None]
    (gradient,) = torch.autograd.grad(model(tokens)[..., START].sum(), model.inner_start)
    assert gradient.item() == inner_starts(tokens, model.reach)[0].sum()


def test_files_without_the_term_are_read_with_0(model, tmp_path, monkeypatch):
    tensors = {k: v for k, v in model.state_dict().items() if k != "inner_start"}
    monkeypatch.setattr(model, "state_dict", lambda: tensors)
    path = tmp_path / "old.safetensors"
    path.write_bytes(model_bytes(model, {}))
    loaded, _ = load_gene_model(path)
    assert loaded.inner_start.tolist() == [0.0]


def test_reach_is_the_files(tmp_path):
    model = GeneModel(PRESETS["tiny"], reach=12)
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_bytes(model, {}))
    assert read_facts(path)["start_reach"] == 12
    assert load_gene_model(path)[0].reach == 12
    with pytest.raises(ValueError, match="past the halo"):
        GeneModel(PRESETS["tiny"], reach=model.halo)
