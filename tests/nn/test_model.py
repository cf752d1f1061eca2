from __future__ import annotations

import pytest
import torch

from dnaannot.nn.encoder import PAD, PRESETS, EncoderConfig
from dnaannot.nn.heads import LabelHead
from dnaannot.nn.masked import MaskedModel
from dnaannot.nn.model import GeneModel
from dnaannot.nn.nine_labels import NineLabelModel
from dnaannot.nn.tracks import TrackModel

STRIDED = EncoderConfig("strided", 12, (1, 2), kernel=3, stride=6, stem_channels=8, stem_kernel=5)


@pytest.fixture
def model():
    torch.manual_seed(2)
    return GeneModel(STRIDED).eval()


def test_emissions_are_float32_scores_of_17_labels(model):
    tokens = torch.randint(0, 5, (2, 60)).to(torch.uint8)
    assert model(tokens).shape == (2, 60, 17)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(tokens).dtype == torch.float32
    assert model.pair_weights.shape == (len(model.grammar.pairs),)
    assert not model.pair_weights.any()


def test_halo_is_a_multiple_of_the_stride_that_holds_the_heads_too(model):
    assert model.halo % 6 == 0
    assert model.halo >= model.encoder.halo + model.head.halo
    length = 8 * model.halo
    middle = length // 2
    for position in (middle, middle + 5):
        outside = torch.randint(0, 4, (1, length)).to(torch.uint8)
        other = outside.clone()
        other[0, : position - model.halo] = (other[0, : position - model.halo] + 1) % 4
        other[0, position + model.halo + 1 :] = 2
        assert torch.allclose(model(outside)[0, position], model(other)[0, position], atol=1e-6)


def test_padding_changes_no_score(model):
    tokens = torch.randint(0, 5, (1, 60)).to(torch.uint8)
    window = torch.nn.functional.pad(tokens, (12, 30), value=PAD)
    assert torch.allclose(model(window)[:, 12:72], model(tokens), atol=1e-5)


def test_head_sees_two_bases_to_each_side():
    head = LabelHead(4, 17).eval()
    features = torch.randn(1, 20, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(head(features)[0, 10].sum(), features)
    seen = gradient[0].abs().sum(-1).nonzero().flatten().tolist()
    assert seen == [8, 9, 10, 11, 12]
    assert head.halo == 2


def test_how_far_start_codons_are_searched_where_the_file_does_not_say():
    """Model files of older versions hold no `start_reach`: what they predict depends on it."""
    assert GeneModel(PRESETS["strided"]).reach == 900
    narrow = GeneModel(STRIDED)
    assert narrow.reach == narrow.halo - 3 < 900


def test_least_intron_is_the_grammars():
    assert GeneModel(STRIDED, min_intron=33).grammar.min_intron == 33


@pytest.mark.parametrize(
    ("model", "outer"),
    [
        (GeneModel(STRIDED), {"encoder.embed.weight", "head.linear.weight"}),
        (
            TrackModel(STRIDED, 3),
            {
                "encoder.embed.weight",
                "head.linear.weight",
                "words.of_word.weight",
                "motifs.scan.weight",
                "motifs.of_best.weight",
            },
        ),
        (MaskedModel(STRIDED), {"encoder.embed.weight", "mlm.vocabulary.weight"}),
        (
            NineLabelModel(STRIDED, crf=True),
            {"encoder.embed.weight", "head.linear.weight", "crf.transitions"},
        ),
    ],
)
def test_hidden_matrices_are_all_but_what_reads_bases_or_gives_scores(model, outer):
    matrices = {name for name, parameter in model.named_parameters() if parameter.ndim > 1}
    assert set(model.hidden_matrices()) == matrices - outer
