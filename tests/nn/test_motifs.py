from __future__ import annotations

import numpy as np
import pytest
import torch

from dnaannot.dna.sequence import reverse_complement
from dnaannot.nn.encoder import PAD, PRESETS
from dnaannot.nn.motifs import MOTIF_WIDTH, MotifScores, best_fits, best_fits_torch
from dnaannot.nn.tracks import TrackModel, WindowScores

STRIDE, MOTIFS, LABELS = 4, 5, 3


@pytest.fixture
def motifs():
    torch.manual_seed(0)
    return MotifScores(LABELS, STRIDE, MOTIFS).double()


def tokens_of(codes):
    return torch.from_numpy(codes[None].copy())


def fits_of(motifs, codes):
    """The definition, base by base; what is no base fits nothing."""
    weight, bias = motifs.scan.weight.detach().numpy(), motifs.scan.bias.detach().numpy()
    reach = MOTIF_WIDTH // 2
    fits = np.full((len(codes), MOTIFS), -np.inf)
    for centre in range(len(codes)):
        for turned in (False, True):
            fit = bias.copy()
            for offset in range(-reach, reach + 1):
                at = centre + offset
                if 0 <= at < len(codes) and codes[at] < 4:
                    base, place = int(codes[at]), offset + reach
                    if turned:
                        base, place = 3 - base, MOTIF_WIDTH - 1 - place
                    fit = fit + weight[:, base, place]
            fits[centre] = np.maximum(fits[centre], fit)
    cells = fits.reshape(-1, STRIDE, MOTIFS).max(1)
    return np.log1p(np.exp(cells))


@pytest.mark.parametrize("rest", [0, 3])
def test_a_cell_holds_the_best_fit_on_either_strand(motifs, rest):
    codes = np.random.default_rng(rest).integers(0, 5, 60).astype(np.uint8)
    codes[60 - rest :] = PAD
    found = motifs(tokens_of(codes), None)[0].detach().numpy()
    np.testing.assert_allclose(found, fits_of(motifs, codes), rtol=1e-6)


def test_the_other_strand_fits_alike(motifs):
    codes = np.random.default_rng(1).integers(0, 4, 80).astype(np.uint8)
    one, other = (motifs(tokens_of(x), None)[0] for x in (codes, reverse_complement(codes)))
    torch.testing.assert_close(one, other.flip(0))


def test_cells_without_a_base_fit_nothing(motifs):
    codes = np.full(80, PAD, np.uint8)
    codes[:40] = 1
    is_base = (torch.arange(20) < 10)[None, :, None]
    found = motifs(tokens_of(codes), is_base)[0]
    assert found[:10].all()
    assert not found[10:].any()


@pytest.mark.parametrize("cells", [1, 2, 3, 6, 8, 13])
def test_the_best_of_each_window(cells):
    fits = np.random.default_rng(cells).normal(size=(30, MOTIFS)).astype(np.float32)
    low = np.arange(1 - cells, 30)
    expected = [fits[max(0, at) : at + cells].max(0) for at in low]
    np.testing.assert_array_equal(best_fits(fits, low, cells), expected)
    twin = best_fits_torch(torch.from_numpy(fits), torch.from_numpy(low), cells)
    np.testing.assert_array_equal(twin.numpy(), expected)


def test_adding_them_changes_no_logit():
    torch.manual_seed(0)
    model = TrackModel(PRESETS["tiny"], LABELS, window=90, motifs=0)
    tokens, centres = torch.randint(0, 4, (1, 180)), np.arange(180)
    before = WindowScores.of(model)(model(tokens)[0].detach().numpy(), centres)
    model.add_motifs()
    after = WindowScores.of(model)(model(tokens)[0].detach().numpy(), centres)
    np.testing.assert_array_equal(before, after)
    assert not any(name.startswith("motifs") for name in model.hidden_matrices())


def test_one_motif_is_learned_wherever_it_stands():
    """A factor's site anywhere in the window, on either strand, in few examples."""
    random = np.random.default_rng(5)
    site = random.integers(0, 4, 12).astype(np.uint8)
    torch.manual_seed(0)
    model = MotifScores(1, 8, 16)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)

    def examples(count):
        codes = random.integers(0, 4, (count, 96)).astype(np.uint8)
        has = random.random(count) < 0.5
        for row in np.flatnonzero(has):
            at = random.integers(0, 96 - len(site))
            codes[row, at : at + len(site)] = site
            if random.random() < 0.5:
                codes[row] = reverse_complement(codes[row])
        return torch.from_numpy(codes), torch.from_numpy(has).float()

    def logits(codes):
        return model.of_best(model(codes, None).amax(1))[:, 0] - 2

    for _ in range(150):
        codes, has = examples(64)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits(codes), has)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    codes, has = examples(400)
    assert ((logits(codes) > 0) == (has > 0)).float().mean() > 0.9
