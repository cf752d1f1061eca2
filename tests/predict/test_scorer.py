from __future__ import annotations

import numpy as np
import pytest
import torch

from dnaannot.dna.grammar import MIRRORED_LABEL
from dnaannot.dna.sequence import mark_gaps, reverse_complement
from dnaannot.nn.encoder import EncoderConfig
from dnaannot.nn.model import GeneModel
from dnaannot.predict import scorer
from dnaannot.predict.scorer import Compute, Scorer, tile_length, tiles

LENGTHS = (1, 8, 9, 100, 1151, 1152, 1153, 1500, 18_432, 18_433, 700, 30_000)


@pytest.fixture
def short_tiles(monkeypatch):
    """Tiles of 1,152 bases, so that short sequences need several."""
    monkeypatch.setattr(scorer, "_LADDER", (64, 128))
    monkeypatch.setattr(scorer, "_BATCHED_BASES", 1_152)


@pytest.fixture
def sequences(fly_codes):
    starts = np.cumsum((0, *LENGTHS))
    return [fly_codes[a:b] for a, b in zip(starts, starts[1:], strict=False)]


def score(model, sequences, compute=Compute(), both_strands=False):  # noqa: B008
    found = []
    for number, codes, chunks in Scorer(model, compute, both_strands).score_all(
        enumerate(sequences)
    ):
        assert number == len(found)
        found.append(np.concatenate(list(chunks)))
        assert found[-1].shape == (len(codes), 17)
    return found


def same(ones, others):
    return len(ones) == len(others) and all(
        np.array_equal(one, other) for one, other in zip(ones, others, strict=True)
    )


@pytest.mark.parametrize("length", [1, 1152, 1153, 1710, 1711, 5000])
def test_tiles_cover_a_sequence_once_and_lie_on_the_stride(monkeypatch, length):
    monkeypatch.setattr(scorer, "_LADDER", (64, 128))
    plan = tiles(length, 9, 297)
    assert plan[0].core_start == 0
    assert plan[-1].core_end == length
    assert all(a.core_end == b.core_start for a, b in zip(plan, plan[1:], strict=False))
    for tile in plan:
        assert tile.start % 9 == 0
        assert tile.core_start - tile.start in (0, 297)
        seen_to = tile.start + tile_length(length, 9)
        assert seen_to >= min(tile.core_end + (297 if len(plan) > 1 else 0), length)


@pytest.mark.parametrize("length", [1, 2, 500, 1152, 1153, 1710, 1711, 4000])
def test_tiles_stitched_are_the_whole_sequence(tiny_model, fly_codes, short_tiles, length):
    codes = fly_codes[:length]
    tokens = np.full(-(-length // 9) * 9, 6, np.uint8)
    tokens[:length] = codes
    with torch.inference_mode():
        whole = tiny_model(torch.from_numpy(tokens)[None])[0, :length].numpy()
    assert np.allclose(score(tiny_model, [codes])[0], whole, atol=2e-5)


def test_base_resolution_encoder_is_stitched_too(fly_codes, short_tiles):
    torch.manual_seed(1)
    model = GeneModel(EncoderConfig("residual", 8, (1, 2), kernel=3)).eval()
    for length in (1, 128, 129, 1100, 1153):
        codes = fly_codes[:length]
        with torch.inference_mode():
            whole = model(torch.from_numpy(codes.copy())[None])[0].numpy()
        assert np.allclose(score(model, [codes])[0], whole, atol=2e-5)


@pytest.mark.parametrize(
    "compute", [Compute(threads=2), Compute(ahead=8_000), Compute(threads=2, ahead=400_000)]
)
def test_scheduling_changes_no_bit(tiny_model, sequences, compute):
    assert same(score(tiny_model, sequences, compute), score(tiny_model, sequences))


def test_scheduling_of_tiles_changes_no_bit(tiny_model, fly_codes, short_tiles):
    codes = [fly_codes[:10_000]]
    usual = score(tiny_model, codes)
    for compute in (Compute(threads=2), Compute(ahead=1), Compute(threads=2, ahead=5_000)):
        assert same(score(tiny_model, codes, compute), usual)


@pytest.mark.parametrize("both_strands", [False, True])
def test_company_changes_no_bit(tiny_model, sequences, both_strands):
    together = score(tiny_model, sequences, both_strands=both_strands)
    alone = [score(tiny_model, [codes], both_strands=both_strands)[0] for codes in sequences]
    assert same(together, alone)
    reordered = score(tiny_model, sequences[::-1], both_strands=both_strands)
    assert same(together, reordered[::-1])


def test_averaged_strands_mirror(tiny_model, sequences, short_tiles):
    forward = score(tiny_model, sequences, both_strands=True)
    mirrored = [reverse_complement(codes) for codes in sequences]
    backward = score(tiny_model, mirrored, Compute(threads=2), both_strands=True)
    assert same(forward, [emissions[::-1, MIRRORED_LABEL] for emissions in backward])
    assert not same(forward, score(tiny_model, sequences))


def test_gaps_are_scored_as_n(tiny_model, fly_codes):
    codes = fly_codes[:3000].copy()
    codes[1000:1100] = 4
    assert same(score(tiny_model, [mark_gaps(codes, 50)]), score(tiny_model, [codes]))
    assert score(tiny_model, [np.full(40_000, 5, np.uint8)])[0].shape == (40_000, 17)


def test_an_abandoned_run_ends_its_workers(tiny_model, fly_codes, short_tiles):
    import threading

    before = threading.active_count()
    running = Scorer(tiny_model, Compute(threads=2)).score_all([(0, fly_codes)])
    _, _, chunks = next(running)
    next(chunks)
    running.close()
    assert threading.active_count() == before
