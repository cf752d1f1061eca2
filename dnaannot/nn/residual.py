"""Residual layers x + LN(GELU(y)) on the CPU as single autograd functions.

A convolution of seven taps is computed for two outputs at a time from four products instead of
six (Winograd's minimal filtering F(2, 3), Lavin and Gray 2016, section 4.1) for each of its
first and last three taps; the middle tap stays as it is. That is 10 matrix products of 14.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dnaannot.nn import residual_kernels as kernels

PAIRED_TAPS = 7
_ROWS = {torch.float32: 256, torch.bfloat16: 768}
"""Pairs computed at a time, so that what lies between the steps stays in the cache."""
_DTYPES = (torch.float32, torch.bfloat16)
_ALL = np.empty(0, np.uint8)
_NOTHING: dict[torch.dtype, np.ndarray] = {
    torch.float32: np.empty((0, 0, 0), np.float32),
    torch.bfloat16: np.empty((0, 0, 0), np.int16),
}


def is_fused(x: Tensor, dtype: torch.dtype, norm: nn.LayerNorm) -> bool:
    """Whether these functions compute a layer's features, from ones like x, in `dtype`."""
    return x.device.type == "cpu" and dtype in _DTYPES and norm.weight.dtype == torch.float32


class _Weights(NamedTuple):
    """A convolution's taps as the pairs' products take them, C input and D output channels.

    Attributes:
        pairs: (4, D, 2C).
        centre: (D, C).
    """

    pairs: Tensor
    centre: Tensor


class _Scratch(NamedTuple):
    """Memory that each layer needs for a moment.

    Attributes:
        inputs: (4, R, 2C), transformed inputs of R pairs or their gradient.
        products: (4, R, C), or their gradient.
        centre: (B * L, C), product of the middle tap, or its gradient by the layer's input.
        inputs_array, products_array, centre_array: the same memory, the last as (B, L, C).
        nothing: (C,) zeros.
    """

    inputs: Tensor
    products: Tensor
    centre: Tensor
    inputs_array: np.ndarray
    products_array: np.ndarray
    centre_array: np.ndarray
    nothing: np.ndarray


class _Scratches(threading.local):
    """The last scratch of each thread: fresh memory costs more than a pass over it."""

    def __init__(self) -> None:
        self._made: tuple[tuple, _Scratch] | None = None

    def like(self, x: Tensor, rows: int) -> _Scratch:
        """Scratch for x (B, L, C) and R = `rows` pairs at a time."""
        batch, length, channels = x.shape
        key = (batch, length, channels, rows, x.dtype)
        made = self._made
        if made is None or made[0] != key:
            with torch.inference_mode(False):
                inputs = torch.empty(4, rows, 2 * channels, dtype=x.dtype)
                products = torch.empty(4, rows, channels, dtype=x.dtype)
                centre = torch.empty(batch * length, channels, dtype=x.dtype)
                nothing = torch.zeros(channels, dtype=x.dtype)
            tensors = (inputs, products, centre)
            arrays = (
                _array(inputs),
                _array(products),
                _array(centre.view(x.shape)),
                _array(nothing),
            )
            made = self._made = (key, _Scratch(*tensors, *arrays))
        return made[1]


_forward_scratch, _backward_scratch = _Scratches(), _Scratches()


def _pairs_a_row(x: Tensor, dilation: int) -> int:
    return -(-x.shape[1] // (2 * dilation)) * dilation


def _transformed(weight: Tensor, dtype: torch.dtype) -> _Weights:
    outputs, inputs, _ = weight.shape
    with torch.inference_mode(False):
        pairs = torch.empty(4, outputs, 2 * inputs, dtype=dtype)
        centre = torch.empty(outputs, inputs, dtype=dtype)
    kernels.pair_taps(_array(weight.contiguous()), _array(pairs), _array(centre))
    return _Weights(pairs, centre)


Kept = dict[tuple[int, torch.dtype], tuple[Tensor, int, _Weights]]
"""By the weight's identity: the weight, its version and what was made of it."""


class _Kept(threading.local):
    """Where each thread keeps what it makes of weights, None for nowhere."""

    place: Kept | None = None


_kept = _Kept()


@contextmanager
def keeping(place: Kept) -> Iterator[None]:
    """Inference within makes the same of a layer's weights once for all calls with one `place`.

    The weights must not change between the calls. Most changes are noticed, but not all: fused
    optimizers and `.data` leave a tensor's version as it is. Threads may share a place.
    """
    before, _kept.place = _kept.place, place
    try:
        yield
    finally:
        _kept.place = before


def _known_or_transformed(weight: Tensor, dtype: torch.dtype) -> _Weights:
    place = _kept.place
    if place is None or weight.is_inference():  # that has no version
        return _transformed(weight, dtype)
    known = place.get((id(weight), dtype))
    if known is None or known[1] != weight._version:
        known = place[id(weight), dtype] = weight, weight._version, _transformed(weight, dtype)
    return known[2]


def _array(values: Tensor) -> np.ndarray:
    """The same memory as an array, bfloat16 as int16."""
    values = values.detach()
    return (values.view(torch.int16) if values.dtype == torch.bfloat16 else values).numpy()


def _keep(bases: Tensor | None, rows: Tensor) -> np.ndarray:
    """(rows,) uint8 of (B, L, 1) flags; empty where all are kept."""
    if bases is None:
        return _ALL
    return bases.detach().to(torch.uint8).expand(*rows.shape[:-1], 1).reshape(-1).numpy()


def add_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, bases: Tensor | None) -> Tensor:
    """A layer's x + LN(GELU(y)), (B, L, C) of one type; x where `bases` (B, L, 1) is 0."""
    return _AddNorm.apply(x, y, norm.weight, norm.bias, norm.eps, _keep(bases, x))


def paired_conv(x: Tensor, conv: nn.Conv1d, norm: nn.LayerNorm, bases: Tensor | None) -> Tensor:
    """A layer's x + LN(GELU(conv(x))), (B, L, C); the convolution has seven taps."""
    assert conv.bias is not None
    x, keep, dilation = x.contiguous(), _keep(bases, x), int(conv.dilation[0])
    parameters = (conv.weight, conv.bias, norm.weight, norm.bias)
    if torch.is_grad_enabled() and any(values.requires_grad for values in (x, *parameters)):
        return _PairedConv.apply(x, *parameters, norm.eps, keep, dilation)
    weights = _known_or_transformed(conv.weight, x.dtype)
    rest = (keep, dilation, weights, _NOTHING[x.dtype])
    return _paired_conv(x, conv.bias, norm.weight, norm.bias, norm.eps, *rest)


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        scale: Tensor,
        shift: Tensor,
        epsilon: float,
        keep: np.ndarray,
    ) -> Tensor:
        x, y = x.contiguous(), y.contiguous()
        out = torch.empty_like(x)
        kernels.add_norm(
            _array(y.flatten(0, 1)),
            _array(x.flatten(0, 1)),
            _array(scale),
            _array(shift),
            np.float32(epsilon),
            keep,
            _array(out.flatten(0, 1)),
        )
        ctx.save_for_backward(y, scale)
        ctx.rest = epsilon, keep
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, scale = ctx.saved_tensors
        epsilon, keep = ctx.rest
        gradient = gradient.contiguous()
        for_y = torch.empty_like(y)
        sums = np.zeros((2, y.shape[-1]), np.float32)
        kernels.norm_gradient(
            _array(y.flatten(0, 1)),
            _array(gradient.flatten(0, 1)),
            _array(scale),
            np.float32(epsilon),
            keep,
            sums,
            _array(for_y.flatten(0, 1)),
        )
        return gradient, for_y, *torch.from_numpy(sums), None, None


def _paired_conv(
    x: Tensor,
    bias: Tensor,
    scale: Tensor,
    shift: Tensor,
    epsilon: float,
    keep: np.ndarray,
    dilation: int,
    weights: _Weights,
    y: np.ndarray,
) -> Tensor:
    """As `paired_conv`; keeps the convolution's output in y (B, L, C) unless that is empty."""
    x_array, out = _array(x), torch.empty_like(x)
    pairs = _pairs_a_row(x, dilation)
    in_all = len(x) * pairs
    rows = min(in_all, _ROWS[x.dtype])
    scratch = _forward_scratch.like(x, rows)
    torch.mm(x.flatten(0, 1), weights.centre.T, out=scratch.centre)
    norm = (_array(scale), _array(shift), np.float32(epsilon), keep)
    bias_array, out_array, by_pair = _array(bias), _array(out), weights.pairs.transpose(1, 2)
    for at in range(0, in_all, rows):
        begin = min(at, in_all - rows)
        kernels.pair_inputs(x_array, dilation, pairs, begin, scratch.nothing, scratch.inputs_array)
        torch.bmm(scratch.inputs, by_pair, out=scratch.products)
        products = (scratch.products_array, scratch.centre_array, bias_array)
        kernels.finish_pairs(*products, dilation, pairs, begin, x_array, *norm, y, out_array)
    return out


class _PairedConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor,
        shift: Tensor,
        epsilon: float,
        keep: np.ndarray,
        dilation: int,
    ) -> Tensor:
        y = torch.empty_like(x)
        rest = (epsilon, keep, dilation, _transformed(weight, x.dtype))
        out = _paired_conv(x, bias, scale, shift, *rest, _array(y))
        ctx.save_for_backward(x, y, scale)
        ctx.rest = rest
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, scale = ctx.saved_tensors
        epsilon, keep, dilation, weights = ctx.rest
        gradient = gradient.contiguous()
        channels, pairs = x.shape[2], _pairs_a_row(x, dilation)
        scratch = _backward_scratch.like(x, len(x) * pairs)
        x_array, gradient_array, for_y = _array(x), _array(gradient), torch.empty_like(y)
        sums = np.zeros((3, channels), np.float32)
        kernels.pair_gradients(
            _array(y),
            gradient_array,
            _array(scale),
            np.float32(epsilon),
            keep,
            dilation,
            sums,
            _array(for_y),
            scratch.products_array,
        )
        for_y = for_y.flatten(0, 1)
        kernels.pair_inputs(x_array, dilation, pairs, 0, scratch.nothing, scratch.inputs_array)
        for_pairs = torch.bmm(scratch.products.transpose(1, 2), scratch.inputs)
        for_centre = torch.mm(for_y.T, x.flatten(0, 1))
        for_weight = torch.empty(channels, channels, PAIRED_TAPS)
        kernels.tap_gradients(_array(for_pairs), _array(for_centre), _array(for_weight))
        torch.bmm(scratch.products, weights.pairs, out=scratch.inputs)
        torch.mm(for_y, weights.centre, out=scratch.centre)
        for_x = torch.empty_like(x)
        kernels.input_gradient(
            gradient_array, scratch.centre_array, scratch.inputs_array, dilation, _array(for_x)
        )
        for_scale, for_shift, for_bias = torch.from_numpy(sums)
        return for_x, for_weight, for_bias, for_scale, for_shift, None, None, None
