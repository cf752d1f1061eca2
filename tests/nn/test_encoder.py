from __future__ import annotations

import numpy as np
import pytest
import torch

from dnaannot.dna.sequence import reverse_complement
from dnaannot.nn.encoder import (
    MASK,
    PAD,
    PRESETS,
    EncoderConfig,
    build_encoder,
    one_hot,
    other_strand,
)

RESIDUAL = EncoderConfig("residual", 8, (1, 2, 1), kernel=5)
STRIDED = EncoderConfig("strided", 12, (1, 2), kernel=3, stride=6, stem_channels=8, stem_kernel=5)
WIDE_STEM = EncoderConfig("strided", 12, (1,), kernel=5, stride=3, stem_channels=8, stem_kernel=9)
CONFIGS = [RESIDUAL, STRIDED, WIDE_STEM]


@pytest.fixture(params=CONFIGS, ids=["residual", "strided", "wide stem"])
def encoder(request):
    torch.manual_seed(1)
    return build_encoder(request.param).double().eval()


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def bases(length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 5, (1, length), generator=generator).to(torch.uint8)


def padded(tokens, left, right):
    return torch.nn.functional.pad(tokens, (left, right), value=PAD)


def reach(encoder, length, position):
    """First and last base that the feature at a position depends on."""
    config = encoder.config
    embedding = one_hot(bases(length), 7, torch.float64).requires_grad_()

    def embedded(tokens, width, dtype):
        filled = torch.zeros(*tokens.shape, width, dtype=dtype)
        filled[..., :7] = embedding
        return filled

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dnaannot.nn.encoder.one_hot", embedded)
        feature = encoder(bases(length))[0, position]
    (gradient,) = torch.autograd.grad(feature.pow(2).sum(), embedding)
    seen = torch.nonzero(gradient[0].abs().sum(-1)).flatten().tolist()
    assert config is encoder.config
    return seen[0], seen[-1]


def test_spt_preset_is_the_papers():
    with torch.device("meta"):
        encoder = build_encoder(PRESETS["spt"])
    assert sum(p.numel() for p in encoder.parameters()) == 78_735_360
    assert 2 * encoder.halo + 1 == 2_521
    assert encoder.channels == 512
    assert len(encoder.layers) == 30


@pytest.mark.parametrize("name", ["strided", "tiny"])
def test_presets_of_gene_models_keep_the_codon_position(name):
    assert PRESETS[name].stride > 1
    assert PRESETS[name].stride % 3 == 0


@pytest.mark.parametrize("name", ["strided", "regulatory"])
def test_coarse_features_are_those_that_the_rest_reads(name):
    encoder = build_encoder(PRESETS[name]).eval()
    read = []
    encoder.up.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    tokens = torch.randint(0, 6, (1, 9 * 8 * 4))
    encoder(tokens)
    coarse = encoder.coarse(tokens)
    assert coarse.shape == (1, tokens.shape[1] // PRESETS[name].stride, encoder.coarse_channels)
    torch.testing.assert_close(coarse, read[0])


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'nonsense'"):
        build_encoder(EncoderConfig("nonsense", 8, (1,)))


def test_one_hot():
    encoded = one_hot(torch.tensor([[0, 4, MASK, PAD]]), 9, torch.float64)
    assert encoded.shape == (1, 4, 9)
    assert encoded[0].argmax(-1).tolist()[:3] == [0, 4, MASK]
    assert encoded.sum(-1).tolist() == [[1, 1, 1, 0]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_the_other_strand_is_the_reverse_complement_of_each_row(dtype):
    codes = np.random.default_rng(1).integers(0, 5, (2, 30)).astype(np.uint8)
    found = other_strand(torch.from_numpy(codes).to(dtype))
    assert found.dtype == dtype
    assert found.tolist() == [reverse_complement(row).tolist() for row in codes]
    assert other_strand(torch.tensor([[0, MASK, 1, PAD]])).tolist() == [[PAD, 2, MASK, 3]]


def test_halo_holds_all_that_a_feature_depends_on(encoder):
    length = encoder.config.stride * 120
    for position in range(length // 2, length // 2 + encoder.config.stride):
        first, last = reach(encoder, length, position)
        assert position - first <= encoder.halo
        assert last - position <= encoder.halo


def test_halo_of_the_residual_encoder_is_exact():
    torch.manual_seed(1)
    encoder = build_encoder(RESIDUAL).double()
    assert encoder.halo == 2 * (1 + 2 + 1)
    assert reach(encoder, 100, 50) == (50 - encoder.halo, 50 + encoder.halo)


def test_halo_of_the_strided_encoder_is_the_least_multiple_of_the_stride():
    torch.manual_seed(1)
    for config in (STRIDED, WIDE_STEM):
        encoder = build_encoder(config).double()
        assert encoder.halo % config.stride == 0
        middle = 60 * config.stride
        spans = [
            (position, *reach(encoder, 120 * config.stride, position))
            for position in range(middle, middle + config.stride)
        ]
        needed = max(max(p - first, last - p) for p, first, last in spans)
        assert needed <= encoder.halo < needed + config.stride


def test_padding_is_beyond_the_end_of_the_sequence(encoder):
    stride = encoder.config.stride
    tokens = bases(stride * 20)
    alone = encoder(tokens)
    for left, right in ((0, stride), (stride, 0), (5 * stride, 60 * stride)):
        window = encoder(padded(tokens, left, right))
        assert torch.allclose(window[:, left : left + tokens.shape[1]], alone, atol=1e-12)
        assert not window[:, :left].any()
        assert not window[:, left + tokens.shape[1] :].any()


def test_a_sequence_that_ends_within_a_stride_needs_no_more_than_padding(encoder):
    stride = encoder.config.stride
    tokens = bases(stride * 20 - 1)
    least = encoder(padded(tokens, 0, 1))
    more = encoder(padded(tokens, 0, 1 + 7 * stride))
    assert torch.allclose(least[:, :-1], more[:, : tokens.shape[1]], atol=1e-12)


def test_a_batch_is_its_rows(encoder):
    stride = encoder.config.stride
    one, other = bases(stride * 12, 1), padded(bases(stride * 9, 2), 0, stride * 3)
    together = encoder(torch.cat((one, other)))
    assert torch.allclose(together, torch.cat((encoder(one), encoder(other))), atol=1e-12)


def test_windows_at_multiples_of_the_stride_give_the_whole_sequences_features(encoder):
    stride, halo = encoder.config.stride, encoder.halo
    halo = -(-halo // stride) * stride
    tokens = bases(stride * 150)
    whole = encoder(tokens)
    for start in (0, stride, 7 * stride):
        window = encoder(tokens[:, start : start + 2 * halo + 3 * stride])
        core = slice(start + halo, start + halo + 3 * stride)
        assert torch.allclose(window[:, halo : halo + 3 * stride], whole[:, core], atol=1e-12)


def test_mask_and_n_are_bases(encoder):
    stride = encoder.config.stride
    tokens = bases(stride * 10)
    changed = tokens.clone()
    changed[0, 3] = MASK
    assert encoder(changed)[0, 0].ne(encoder(tokens)[0, 0]).any()
    assert encoder(torch.full_like(tokens, 4)).any()
