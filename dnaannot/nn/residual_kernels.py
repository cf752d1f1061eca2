"""Kernels of residual layers on the CPU: GELU, layer norm and the pairing of positions.

Arrays hold float32, or bfloat16 as its bits in int16; all arithmetic is in float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from dnaannot.dna.compiled import kernel, part

_FAST = {"contract", "reassoc", "nsz", "arcp"}
_kernel = kernel(fastmath=_FAST)
_inlined = part(fastmath=_FAST, inline="always")  # left apart, the first run rounds otherwise
_in_order = part(fastmath=_FAST - {"reassoc"}, forceinline=True)

_ONE = np.float32(1.0)
_DENSITY = np.float32(1 / math.sqrt(2 * math.pi))
_HALF_LOG2_E, _LOWEST = np.float32(-0.5 / math.log(2)), np.float32(-126.0)
_ROUNDER = np.float32(1.5 * 2**23)
"""Added and taken off again, it leaves a float32 rounded to a whole number."""
_E1, _E2, _E3, _E4, _E5, _E6 = (
    np.float32(math.log(2) ** n / math.factorial(n)) for n in range(1, 7)
)
_P0 = np.float32(0.3275911 / math.sqrt(2))
_P1, _P2, _P3, _P4, _P5 = (
    np.float32(value / 2)
    for value in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
)


def _wide(value: Any) -> Any:
    """Float32 of a stored value."""
    raise NotImplementedError


def _store(array: Any, index: Any, value: Any) -> None:
    """Put a float32 into an array of stored values."""
    raise NotImplementedError


@overload(_wide)
def _typed_wide(value):
    if value == types.int16:
        return lambda value: np.uint32(np.uint32(np.uint16(value)) << np.uint32(16)).view(
            np.float32
        )
    return lambda value: value


@overload(_store)
def _typed_store(array, index, value):
    if array.dtype == types.int16:

        def rounded(array, index, value):
            bits = np.float32(value).view(np.uint32)
            even = np.uint32((bits >> np.uint32(16)) & np.uint32(1))
            array[index] = np.int16(np.uint32(bits + np.uint32(0x7FFF) + even) >> np.uint32(16))

        return rounded

    def store(array, index, value):
        array[index] = value

    return store


@_in_order
def _bell(y):
    """exp(-y * y / 2), as 2 ** n times a polynomial."""
    power = y * y * _HALF_LOG2_E
    power = power if power > _LOWEST else _LOWEST
    shifted = np.float32(power + _ROUNDER)
    x = power - (shifted - _ROUNDER)
    value = _E6
    value = value * x + _E5
    value = value * x + _E4
    value = value * x + _E3
    value = value * x + _E2
    value = value * x + _E1
    value = np.float32(value * x + _ONE)
    exponent = np.int32(shifted.view(np.int32) << np.int32(23))
    return np.int32(value.view(np.int32) + exponent).view(np.float32)


@_in_order
def _share(y, bell):
    """Normal distribution function at y; Abramowitz and Stegun 7.1.26, error below 1e-7."""
    t = _ONE / (_ONE + _P0 * abs(y))
    tail = _P5
    tail = tail * t + _P4
    tail = tail * t + _P3
    tail = tail * t + _P2
    tail = tail * t + _P1
    tail = tail * t * bell
    return _ONE - tail if y > 0 else tail


@_inlined
def _add_norm(y, x, scale, shift, epsilon, keep, out):
    """Row out = x + keep * LN(GELU(y)); y (C,) float32 is overwritten."""
    n = len(y)
    total = np.float32(0.0)
    for c in range(n):
        value = y[c]
        y[c] = value * _share(value, _bell(value))
        total += y[c]
    mean = total / np.float32(n)
    squares = np.float32(0.0)
    for c in range(n):
        y[c] -= mean
        squares += y[c] * y[c]
    ratio = keep / np.float32(math.sqrt(squares / np.float32(n) + epsilon))
    for c in range(n):
        _store(out, c, _wide(x[c]) + y[c] * ratio * scale[c] + shift[c] * keep)


@_inlined
def _norm_gradient(y, slope, normed, gradient, scale, epsilon, keep, sums, out):
    """Row out (C,) float32, gradient by y of keep * LN(GELU(y)); adds to sums (2, C)."""
    n = len(y)
    total = np.float32(0.0)
    for c in range(n):
        value = _wide(y[c])
        bell = _bell(value)
        share = _share(value, bell)
        normed[c] = value * share
        slope[c] = share + value * bell * _DENSITY
        total += normed[c]
    mean = total / np.float32(n)
    squares = np.float32(0.0)
    for c in range(n):
        normed[c] -= mean
        squares += normed[c] * normed[c]
    ratio = np.float32(1.0) / np.float32(math.sqrt(squares / np.float32(n) + epsilon))
    plain, along = np.float32(0.0), np.float32(0.0)
    for c in range(n):
        normed[c] *= ratio
        onto = _wide(gradient[c]) * keep
        sums[0, c] += onto * normed[c]
        sums[1, c] += onto
        out[c] = onto * scale[c]
        plain += out[c]
        along += out[c] * normed[c]
    plain /= np.float32(n)
    along /= np.float32(n)
    for c in range(n):
        out[c] = (out[c] - plain - normed[c] * along) * ratio * slope[c]


@_kernel
def add_norm(y, x, scale, shift, epsilon, keep, out):
    """Set out = x + LN(GELU(y)), rows (R, C); x where keep (R,) is 0. Empty keep: all."""
    row = np.empty(y.shape[1], np.float32)
    for t in range(len(y)):
        for c in range(len(row)):
            row[c] = _wide(y[t, c])
        kept = np.float32(keep[t]) if len(keep) else np.float32(1.0)
        _add_norm(row, x[t], scale, shift, epsilon, kept, out[t])


@_kernel
def norm_gradient(y, gradient, scale, epsilon, keep, sums, out):
    """Gradient by y of `add_norm` into out (R, C); adds those by scale and shift to sums (2, C)."""
    slope, normed = np.empty(y.shape[1], np.float32), np.empty(y.shape[1], np.float32)
    row = np.empty(y.shape[1], np.float32)
    for t in range(len(y)):
        kept = np.float32(keep[t]) if len(keep) else np.float32(1.0)
        _norm_gradient(y[t], slope, normed, gradient[t], scale, epsilon, kept, sums, row)
        for c in range(len(row)):
            _store(out[t], c, row[c])


@_kernel
def pair_inputs(x, dilation, pairs, first, nothing, out):
    """Transformed inputs of R pairs from number `first` on: out (4, R, 2C) of x (B, L, C).

    A row of x has pairs = dilation * ceil(L / 2 dilation). Pair q * dilation + r stands for the
    positions 2 q dilation + r and dilation after that. nothing (C,) is zero.
    """
    _, length, n = x.shape
    rows, reach = out.shape[1], 2 * dilation
    for row in range(rows):
        b, pair = (first + row) // pairs, (first + row) % pairs
        for late in range(2):
            p = pair + late * reach
            if late and p < pairs and row + reach < rows:
                continue  # the row that begins there is copied here
            at = (2 * (p // dilation) - 3) * dilation + p % dilation
            for i in range(4):
                t, u = at + i * dilation, at + (2 if i < 2 else 1) * dilation
                one = x[b, t] if 0 <= t < length else nothing
                other = x[b, u] if 0 <= u < length else nothing
                sign, to = _ONE if i == 1 else -_ONE, out[i, row]
                for c in range(n):
                    _store(to, late * n + c, _wide(one[c]) + sign * _wide(other[c]))
        if pair >= reach and row >= reach:
            for i in range(4):
                for c in range(n):  # as slices they take seconds to compile
                    out[i, row - reach, n + c] = out[i, row, c]


@_kernel
def finish_pairs(
    products, centre, bias, dilation, pairs, begin, x, scale, shift, epsilon, keep, y, out
):
    """Set out = x + LN(GELU(y)), (B, L, C), at the pairs of products (4, R, C) from `begin` on.

    y (B, L, C) is kept too unless it is empty.
    """
    _, length, n = x.shape
    first, second = np.empty(n, np.float32), np.empty(n, np.float32)
    for row in range(products.shape[1]):
        b, p = (begin + row) // pairs, (begin + row) % pairs
        at = 2 * (p // dilation) * dilation + p % dilation
        if at >= length:
            continue
        m0, m1, m2, m3 = products[0, row], products[1, row], products[2, row], products[3, row]
        two = at + dilation < length
        c0, c1 = centre[b, at], centre[b, at + dilation if two else at]
        for c in range(n):
            both, turn = _wide(m1[c]), _wide(m2[c])
            first[c] = _wide(m0[c]) + both + turn + _wide(c0[c]) + bias[c]
            second[c] = _wide(m3[c]) + both - turn + _wide(c1[c]) + bias[c]
        for late in range(2 if two else 1):
            t, values = at + late * dilation, second if late else first
            if len(y):
                for c in range(n):
                    _store(y[b, t], c, values[c])
            kept = np.float32(keep[b * length + t]) if len(keep) else np.float32(1.0)
            _add_norm(values, x[b, t], scale, shift, epsilon, kept, out[b, t])


@_kernel
def pair_gradients(y, gradient, scale, epsilon, keep, dilation, sums, centre, out):
    """Gradients by y (B, L, C) into centre, and by the pairs' products into out (4, B * n, C).

    Adds the gradients by scale, shift and bias to sums (3, C).
    """
    batch, length, n = y.shape
    pairs = out.shape[1] // batch
    slope, normed = np.empty(n, np.float32), np.empty(n, np.float32)
    first, second = np.empty(n, np.float32), np.empty(n, np.float32)
    for b in range(batch):
        for p in range(pairs):
            at = 2 * (p // dilation) * dilation + p % dilation
            first[:] = 0
            second[:] = 0
            for late in range(2):
                t, values = at + late * dilation, second if late else first
                if t >= length:
                    continue
                kept = np.float32(keep[b * length + t]) if len(keep) else np.float32(1.0)
                _norm_gradient(
                    y[b, t], slope, normed, gradient[b, t], scale, epsilon, kept, sums, values
                )
                to = centre[b, t]
                for c in range(n):
                    sums[2, c] += values[c]
                    _store(to, c, values[c])
            row = b * pairs + p
            m0, m1, m2, m3 = out[0, row], out[1, row], out[2, row], out[3, row]
            for c in range(n):
                _store(m0, c, first[c])
                _store(m1, c, first[c] + second[c])
                _store(m2, c, first[c] - second[c])
                _store(m3, c, second[c])


@_kernel
def input_gradient(gradient, centre, pairs_of, dilation, out):
    """Gradient by x into out (B, L, C): the sum of three, one by what `pair_inputs` made."""
    batch, length, n = gradient.shape
    pairs = pairs_of.shape[1] // batch
    row = np.empty(n, np.float32)
    for b in range(batch):
        for t in range(length):
            for c in range(n):
                row[c] = _wide(gradient[b, t, c]) + _wide(centre[b, t, c])
            q, r = t // dilation, t % dilation
            # x at block q is input i of the quadruple whose first block is q - i = 2 * k - 3
            for i in range(4):
                if (q - i + 3) % 2:
                    continue
                p = (q - i + 3) // 2 * dilation + r
                for late in range(2):
                    at = p - 2 * dilation * late
                    if not 0 <= at < pairs:
                        continue
                    at += b * pairs
                    start = late * n
                    if i == 0:
                        one = pairs_of[0, at, start : start + n]
                        for c in range(n):
                            row[c] += _wide(one[c])
                    elif i == 3:
                        one = pairs_of[3, at, start : start + n]
                        for c in range(n):
                            row[c] += _wide(one[c])
                    elif i == 1:
                        one, two = (
                            pairs_of[1, at, start : start + n],
                            pairs_of[2, at, start : start + n],
                        )
                        three = pairs_of[3, at, start : start + n]
                        for c in range(n):
                            row[c] += _wide(one[c]) - _wide(two[c]) - _wide(three[c])
                    else:
                        one, two = (
                            pairs_of[1, at, start : start + n],
                            pairs_of[2, at, start : start + n],
                        )
                        three = pairs_of[0, at, start : start + n]
                        for c in range(n):
                            row[c] += _wide(one[c]) + _wide(two[c]) - _wide(three[c])
            to = out[b, t]
            for c in range(n):
                _store(to, c, row[c])


@_kernel
def pair_taps(weight, pairs, centre):
    """Taps (D, C, 7) as `pair_inputs` needs them: pairs (4, D, 2C), centre (D, C)."""
    half = np.float32(0.5)
    for d in range(len(weight)):
        for c in range(weight.shape[1]):
            for late in range(2):
                g0, g1, g2 = (
                    weight[d, c, 4 * late],
                    weight[d, c, 4 * late + 1],
                    weight[d, c, 4 * late + 2],
                )
                at = late * weight.shape[1] + c
                _store(pairs[0, d], at, g0)
                _store(pairs[1, d], at, (g0 + g1 + g2) * half)
                _store(pairs[2, d], at, (g0 - g1 + g2) * half)
                _store(pairs[3, d], at, g2)
            _store(centre[d], c, weight[d, c, 3])


@_kernel
def tap_gradients(pairs, centre, out):
    """Gradient by the taps into out (D, C, 7), from those by what `pair_taps` makes."""
    half = np.float32(0.5)
    for d in range(len(out)):
        for c in range(out.shape[1]):
            for late in range(2):
                at = late * out.shape[1] + c
                both, turn = _wide(pairs[1, d, at]) * half, _wide(pairs[2, d, at]) * half
                out[d, c, 4 * late] = _wide(pairs[0, d, at]) + both + turn
                out[d, c, 4 * late + 1] = both - turn
                out[d, c, 4 * late + 2] = _wide(pairs[3, d, at]) + both + turn
            out[d, c, 3] = _wide(centre[d, c])
