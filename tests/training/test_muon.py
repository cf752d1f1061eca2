from __future__ import annotations

import pytest
import torch

from dnaannot.predict.scorer import single_threaded
from dnaannot.training.muon import Muon, orthogonal


def matrix(rows, columns, seed=1):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16), (1, 9)])
def test_singular_values_become_about_one_and_vectors_stay(shape):
    given = matrix(*shape)
    made = orthogonal(given)
    left, values, right = torch.linalg.svd(given, full_matrices=False)
    made_values = torch.diagonal(left.T @ made @ right.T)
    far = values > 0.05 * values.max()
    assert made_values[far].min() > 0.6
    assert made_values.max() < 1.3
    assert torch.allclose(made, left @ torch.diag(made_values) @ right, atol=1e-4)


def test_size_does_not_matter_and_zeros_stay():
    given = matrix(8, 20)
    assert torch.allclose(orthogonal(given), orthogonal(1000 * given), atol=1e-5)
    assert torch.equal(orthogonal(torch.zeros(4, 6)), torch.zeros(4, 6))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9")
@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_steps_are_those_of_torch(shape):
    ours, theirs = (torch.nn.Parameter(matrix(*shape)) for _ in range(2))
    mine = Muon([ours], lr=0.02, weight_decay=0.1, dtype=torch.bfloat16)
    peer = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for seed in range(5):
        ours.grad, theirs.grad = (matrix(*shape, seed) for _ in range(2))
        mine.step()
        peer.step()
    moved = (ours - matrix(*shape)).norm()
    assert (ours - theirs).norm() < 0.03 * moved  # bfloat16


def test_a_kernel_is_a_matrix_with_a_row_for_each_output_channel():
    kernel, flat = (
        torch.nn.Parameter(matrix(6, 35).view(6, 5, 7)),
        torch.nn.Parameter(matrix(6, 35)),
    )
    one, other = Muon([kernel], lr=0.1), Muon([flat], lr=0.1)
    kernel.grad, flat.grad = matrix(6, 35, 2).view(6, 5, 7), matrix(6, 35, 2)
    one.step()
    other.step()
    assert torch.equal(kernel.flatten(1), flat)


def test_what_has_no_gradient_stays_and_workers_change_no_bit():
    def moved(each):
        matrices = [torch.nn.Parameter(matrix(9, 30, seed)) for seed in range(6)]
        optimizer = Muon(matrices, lr=0.1)
        for seed, one in enumerate(matrices[1:]):
            one.grad = matrix(9, 30, 10 + seed)
        optimizer.step(each=each)
        return matrices

    with single_threaded(1) as one, single_threaded(3) as three:
        alone, shared = moved(one.map), moved(three.map)
    assert torch.equal(alone[0], matrix(9, 30, 0))
    assert all(not torch.equal(one, matrix(9, 30, seed)) for seed, one in enumerate(alone[1:], 1))
    assert all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True))
