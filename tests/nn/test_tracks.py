import json

import numpy as np
import pytest
import torch

from dnaannot.dna.kmers import kmer_classes
from dnaannot.dna.sequence import reverse_complement
from dnaannot.nn.encoder import PAD, PRESETS, EncoderConfig
from dnaannot.nn.motifs import MOTIFS
from dnaannot.nn.tracks import (
    WORD,
    TrackLabel,
    TrackModel,
    WindowScores,
    WordScores,
    split,
    window_logits,
    window_logits_torch,
)

WINDOW, STRIDE, LABELS = 24, 4, 3
RESIDUAL = EncoderConfig("residual", 8, (1, 2), kernel=3)


def one_window(cells, centre, window, stride):
    """The definition: mean of the window's cells, plus the cell at the centre."""
    at = int(np.floor((centre - window / 2) / stride))
    inside = [cells[i, 0] for i in range(at, at + window // stride) if 0 <= i < len(cells)]
    return np.mean(inside, axis=0) + cells[centre // stride, 1]


@pytest.fixture
def cells():
    return np.random.default_rng(0).normal(size=(40, 2, LABELS)).astype(np.float32)


@pytest.mark.parametrize("positions", [np.arange(160), np.array([0, 159, 81, 3])])
def test_each_window_is_the_mean_of_its_cells_and_its_centre(cells, positions):
    expected = [one_window(cells, p, WINDOW, STRIDE) for p in positions]
    found = window_logits(cells, positions, WINDOW, STRIDE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_piece_of_the_cells_gives_the_same_windows(cells):
    positions = np.arange(60, 90)
    piece = window_logits(cells[10:30], positions, WINDOW, STRIDE, first=10)
    np.testing.assert_allclose(
        piece, window_logits(cells, positions, WINDOW, STRIDE), rtol=0, atol=1e-6
    )


def test_the_loss_sees_the_same_windows(cells):
    positions = np.arange(160)
    twin = window_logits_torch(torch.from_numpy(cells), torch.from_numpy(positions), WINDOW, STRIDE)
    np.testing.assert_allclose(
        twin.numpy(), window_logits(cells, positions, WINDOW, STRIDE), atol=1e-5
    )


@pytest.mark.parametrize("config", [PRESETS["tiny"], RESIDUAL], ids=["strided", "residual"])
class TestTrackModel:
    @pytest.fixture
    def model(self, config):
        torch.manual_seed(0)
        return TrackModel(config, LABELS, window=90).eval()

    def test_scores_and_fits_of_each_cell(self, model, config):
        tokens = torch.randint(0, 4, (2, 180))
        cells = model(tokens)
        assert cells.shape == (2, 180 // config.stride, 2 * LABELS + MOTIFS)
        assert cells.dtype == torch.float32
        scores, fits = split(cells[1], LABELS)
        assert scores.shape == (180 // config.stride, 2, LABELS)
        assert torch.equal(scores[:, 1], cells[1, :, LABELS : 2 * LABELS])
        assert torch.equal(fits, cells[1, :, 2 * LABELS :])

    def test_padding_changes_no_cell(self, model, config):
        tokens = torch.randint(0, 4, (1, 180))
        padded = torch.cat((tokens, torch.full((1, 90), PAD)), dim=1)
        cells = 180 // config.stride
        torch.testing.assert_close(model(padded)[:, :cells], model(tokens), atol=1e-5, rtol=0)
        assert not model(padded)[:, cells:].any()

    def test_a_cell_depends_on_its_halo_alone(self, model, config):
        length = 2 * model.halo + 20 * config.stride
        tokens = torch.randint(0, 4, (1, length))
        cell = (model.halo // config.stride) + 5
        other = tokens.clone()
        other[:, : cell * config.stride - model.halo] = 3
        other[:, (cell + 1) * config.stride + model.halo :] = 2
        torch.testing.assert_close(model(other)[:, cell], model(tokens)[:, cell])

    def test_untrained_logits_stand_at_the_labels_means(self, model, config):
        torch.nn.init.zeros_(model.head.linear.weight)
        model.start_at([-3.0, 0.5, 2.0])
        cells = model(torch.randint(0, 4, (1, 180)))[0].detach().numpy()
        logits = WindowScores.of(model)(cells, np.array([5, 90, 170]))
        np.testing.assert_allclose(logits, [[-3.0, 0.5, 2.0]] * 3, atol=1e-6)

    def test_a_loss_sees_the_logits_of_a_prediction(self, model):
        torch.nn.init.normal_(model.motifs.of_best.weight)
        cells, centres = model(torch.randint(0, 4, (1, 900)))[0], np.arange(900)
        expected = model.window_logits(cells, torch.from_numpy(centres)).detach().numpy()
        cells = cells.detach().numpy()
        found = WindowScores.of(model)(cells, centres)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        one = WindowScores.of(model, [2, 0])
        np.testing.assert_allclose(one(cells, centres), expected[:, [2, 0]], atol=1e-4)
        for n in (1, 2, 333):  # whatever is beside a window
            np.testing.assert_array_equal(one(cells, centres[:n]), one(cells, centres)[:n])

    def test_bfloat16_gives_nearly_the_same(self, model):
        tokens = torch.randint(0, 4, (1, 180))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(tokens)
        assert rounded.dtype == torch.float32
        torch.testing.assert_close(rounded, model(tokens), atol=0.05, rtol=0.05)


class TestWords:
    @pytest.fixture
    def words(self):
        torch.manual_seed(0)
        words = WordScores(LABELS, stride=4)
        torch.nn.init.normal_(words.of_word.weight)
        return words

    def test_a_cell_counts_the_words_around_its_bases(self, words):
        codes = np.random.default_rng(2).integers(0, 4, 40).astype(np.uint8)
        codes[20] = 4
        found = words(torch.from_numpy(codes[None]))[0]
        table = words.of_word.weight * 64 / 4
        powers = 4 ** np.arange(WORD)[::-1]
        for cell in range(10):
            expected = torch.zeros(LABELS)
            for base in range(4 * cell, 4 * cell + 4):
                word = codes[max(0, base - 3) : base + 3].astype(int)
                if len(word) == WORD and word.max() < 4:
                    expected = expected + table[kmer_classes(WORD)[word @ powers]]
            torch.testing.assert_close(found[cell], expected)

    def test_a_window_scores_as_its_reverse_complement(self, words):
        codes = np.random.default_rng(3).integers(0, 4, 400).astype(np.uint8)
        both = [torch.from_numpy(each[None].copy()) for each in (codes, reverse_complement(codes))]
        # but for the two words at the ends of each, as a word of six has no middle base
        one, other = (words(tokens)[0].sum(0) for tokens in both)
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4)

    def test_they_begin_at_nothing_and_are_learned(self):
        tokens = torch.randint(0, 4, (1, 180))
        torch.manual_seed(0)
        model = TrackModel(PRESETS["tiny"], LABELS, window=90)
        torch.manual_seed(0)
        plain = TrackModel(PRESETS["tiny"], LABELS, window=90, words=False)
        assert torch.equal(model(tokens)[..., : 2 * LABELS], plain(tokens)[..., : 2 * LABELS])
        model(tokens).sum().backward()
        assert model.words.of_word.weight.grad.any()
        assert "words.classes" not in model.state_dict()

    def test_a_header_that_says_nothing_of_words_and_motifs_has_none(self):
        facts = TrackModel(PRESETS["tiny"], 2).facts()
        assert facts.pop("word") == WORD
        assert facts.pop("motifs") == MOTIFS
        model = TrackModel.of_facts(facts, PRESETS["tiny"])
        assert (model.words, model.motifs) == (None, None)


def test_a_header_describes_the_model():
    model = TrackModel(PRESETS["tiny"], 2, window=90, sites="cpg")
    model.tracks = (TrackLabel("methylation", "a", scale=2.0, shift=-0.5), TrackLabel("x", "b"))
    twin = TrackModel.of_facts(json.loads(json.dumps(model.facts())), PRESETS["tiny"])
    assert twin.facts() == model.facts()
    assert twin.tracks == model.tracks
