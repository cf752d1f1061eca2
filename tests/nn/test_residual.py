from __future__ import annotations

import copy
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from dnaannot.nn import residual
from dnaannot.nn.encoder import ResidualConv, convolve

CASES = [(1, 100, 1), (2, 77, 4), (1, 300, 64), (3, 33, 16), (2, 5, 8), (3, 100, 64)]


def layer(kernel, dilation):
    torch.manual_seed(3)
    made = ResidualConv(24, kernel, dilation)
    made.norm.weight.data.uniform_(0.5, 2)
    made.norm.bias.data.normal_()
    return made


def plainly(layer, x, bases):
    y = layer.norm(F.gelu(convolve(x, layer.conv)))
    return x + (y if bases is None else y * bases.to(y.dtype))


def error(values, exact):
    exact = exact.detach()
    return float((values.detach().double() - exact).norm() / exact.norm())


@pytest.mark.parametrize("kernel", [7, 5])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("batch", "length", "dilation"), CASES)
def test_values_and_gradients_are_those_of_the_layers_parts(
    batch, length, dilation, padded, kernel
):
    one = layer(kernel, dilation)
    exact = copy.deepcopy(one).double()
    x = torch.randn(batch, length, 24)
    bases = torch.rand(batch, length, 1) < 0.8 if padded else None
    along = torch.randn(batch, length, 24)
    inputs = x.clone().requires_grad_()
    exact_inputs = x.double().requires_grad_()
    out, expected = one(inputs, bases), plainly(exact, exact_inputs, bases)
    assert error(out, expected) < 1e-6
    gradients = torch.autograd.grad(out, (inputs, *one.parameters()), along)
    wanted = torch.autograd.grad(expected, (exact_inputs, *exact.parameters()), along.double())
    assert max(map(error, gradients, wanted)) < 2e-6


@pytest.mark.parametrize("kernel", [7, 5])
def test_bfloat16_is_as_exact_as_the_layers_parts(kernel):
    one = layer(kernel, 4)
    exact = copy.deepcopy(one).double()
    x = torch.randn(1, 200, 24).bfloat16()
    inputs, exact_inputs = x.clone().requires_grad_(), x.double().requires_grad_()
    along = torch.randn(1, 200, 24).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out, parts = one(inputs, None), plainly(one, inputs, None)
    expected = plainly(exact, exact_inputs, None)
    assert out.dtype == torch.bfloat16
    assert error(out, expected) < 1.5 * error(parts, expected)
    wanted = torch.autograd.grad(expected, (exact_inputs, *exact.parameters()), along.double())
    fused = torch.autograd.grad(out, (inputs, *one.parameters()), along)
    apart = torch.autograd.grad(parts, (inputs, *one.parameters()), along)
    for ours, theirs, exactly in zip(fused, apart, wanted, strict=True):
        assert error(ours, exactly) < 2 * error(theirs, exactly)


def test_inference_gives_the_values_of_training():
    one = layer(7, 2)
    x = torch.randn(1, 50, 24)
    trained = one(x, None)
    with torch.inference_mode():
        assert torch.equal(one(x, None), trained)


def infer(layer, x, place=None):
    with torch.inference_mode():
        if place is None:
            return layer(x, None)
        with residual.keeping(place):
            return layer(x, None)


def test_weights_are_transformed_once_where_they_are_kept(transformed):
    one, place, x = layer(7, 2), {}, torch.randn(1, 50, 24)
    expected = infer(one, x)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: infer(one, x, place), range(8)))
    assert all(torch.equal(values, expected) for values in found)
    assert 1 + 1 <= len(transformed) <= 1 + 2  # both threads may be the first
    infer(one, x)
    infer(one, x, {})
    assert len(transformed) <= 3 + 2


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD, None])
def test_kept_weights_that_change_are_transformed_again(optimizer):
    one, place, x = layer(7, 2), {}, torch.randn(1, 50, 24)
    before = infer(one, x, place)
    if optimizer is None:
        one.load_state_dict({name: 2 * values for name, values in one.state_dict().items()})
    else:
        one(x, None).square().sum().backward()
        optimizer(one.parameters(), lr=0.1).step()
    after = infer(one, x, place)
    assert not torch.equal(after, before)
    assert torch.equal(after, infer(one, x))


def test_kept_weights_are_those_of_one_layer_and_type():
    one, other, place = layer(7, 2), layer(7, 2), {}
    with torch.no_grad():
        other.conv.weight.mul_(2)
    x = torch.randn(1, 50, 24)
    for each in (one, other, copy.deepcopy(one)):
        for values in (x, x.bfloat16()):
            with torch.autocast("cpu", torch.bfloat16, enabled=values.dtype == torch.bfloat16):
                assert torch.equal(infer(each, values, place), infer(each, values))
    assert set(one.state_dict()) == {"conv.weight", "conv.bias", "norm.weight", "norm.bias"}


def test_training_beside_kept_weights_takes_its_own(transformed):
    one, place, x = layer(7, 2), {}, torch.randn(1, 50, 24)
    infer(one, x, place)
    with residual.keeping(place):
        one(x, None)
    assert len(transformed) == 2


def test_a_batch_is_its_rows():
    one = layer(7, 4)
    x = torch.randn(3, 45, 24)
    rows = torch.cat([one(row[None], None) for row in x])
    assert torch.allclose(one(x, None), rows, atol=1e-5)


def test_nothing_that_is_not_a_number_is_hidden():
    one = layer(7, 2)
    x = torch.randn(1, 64, 24)
    x[0, 30] = torch.nan
    assert one(x, None)[0, 20:40].isnan().any()
    with torch.autocast("cpu", torch.bfloat16):
        assert one(x.bfloat16(), None)[0, 20:40].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_does_not_depend_on_its_place_in_the_batch(dtype):
    one = layer(7, 4)
    x = torch.randn(5, 52, 24).to(dtype)
    with torch.inference_mode(), torch.autocast("cpu", enabled=dtype == torch.bfloat16):
        assert torch.equal(one(x.flip(0), None).flip(0), one(x, None))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 13, 64])
def test_how_many_pairs_are_computed_at_a_time_changes_nothing(monkeypatch, rows, dtype):
    one = layer(7, 4)
    x = torch.randn(2, 156, 24).to(dtype)
    with torch.inference_mode(), torch.autocast("cpu", enabled=dtype == torch.bfloat16):
        together = one(x, None)
        monkeypatch.setitem(residual._ROWS, dtype, rows)
        assert torch.allclose(one(x, None), together, rtol=1e-2, atol=1e-5)


FEATURES = """
import hashlib, torch
from dnaannot.nn.encoder import EncoderConfig, build_encoder
torch.manual_seed(1)
torch.set_num_threads(1)
encoder = build_encoder(EncoderConfig("strided", 16, (1, 2), 7, stride=9, stem_channels=16))
features = encoder(torch.randint(0, 4, (2, 900)).to(torch.uint8))
features.square().sum().backward()
gradients = [p.grad.flatten() for p in encoder.parameters() if p.grad is not None]
for values in (features.detach(), torch.cat(gradients)):
    print(hashlib.md5(values.numpy().tobytes()).hexdigest())
"""


def test_the_run_that_compiles_rounds_as_those_that_load(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run(
            [sys.executable, "-c", FEATURES], env=environment, capture_output=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1] != b""
