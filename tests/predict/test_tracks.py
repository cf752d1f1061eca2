from __future__ import annotations

import numpy as np
import pytest
import torch

from dnaannot.dna.interval import NOTHING, union
from dnaannot.dna.sequence import N, decode, reverse_complement
from dnaannot.errors import ModelError
from dnaannot.nn.encoder import PAD
from dnaannot.nn.tracks import TrackLabel, WindowScores
from dnaannot.predict.scorer import Compute
from dnaannot.predict.tracks import Cpgs, Grid, TrackPredictor, label_values, unit

LENGTH = 20_011  # several tiles; no multiple of the stride or of a step


@pytest.fixture
def codes(fly_codes):
    return fly_codes[:LENGTH].copy()


def predict(model, sequences, sites=Grid(), spans=None, compute=Compute(), **options):  # noqa: B008
    """{name: (starts, ends, values)} of (name, codes) pairs."""
    predictor = TrackPredictor(model, sites, compute, **options)
    spans_of = None if spans is None else lambda name, _: spans.get(name, NOTHING)
    parts = list(predictor.predict(sequences, spans_of))
    found = {}
    for name, _ in sequences:
        mine = [part for part in parts if part.sequence == name]
        none = (np.empty(0, int), np.empty(0, int), np.empty((0, len(predictor.labels))))
        columns = zip(*[part[1:4] for part in mine], strict=True) if mine else zip(none)
        found[name] = tuple(np.concatenate(column) for column in columns)
    return found


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def logits_of_whole(model, codes, centres):
    """Every cell from one pass over the whole sequence."""
    stride = model.stride
    tokens = np.full(-(-len(codes) // stride) * stride, PAD, np.uint8)
    tokens[: len(codes)] = codes
    with torch.inference_mode():
        cells = model(torch.from_numpy(tokens)[None])[0].numpy()
    return WindowScores.of(model)(cells, centres)


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(float)))


@pytest.mark.parametrize("step", [128, 100, 77])
def test_bins_have_the_values_of_windows_around_their_middles(grid_model, codes, step):
    starts, ends, values = predict(grid_model, [("a", codes)], Grid(step))["a"]
    assert starts.tolist() == list(range(0, LENGTH, step))
    assert ends.tolist() == [min(start + step, LENGTH) for start in starts]
    centres = np.minimum(starts + step // 2, LENGTH - 1)
    expected = sigmoid(logits_of_whole(grid_model, codes, centres))
    np.testing.assert_allclose(values, expected, atol=2e-5)
    assert values.std(axis=0).min() > 0.02


def test_every_base_can_have_a_value(grid_model, codes):
    starts, ends, values = predict(grid_model, [("a", codes[:9_000])], Grid(1))["a"]
    assert (starts == np.arange(9_000)).all()
    assert (ends == starts + 1).all()
    expected = sigmoid(logits_of_whole(grid_model, codes[:9_000], starts))
    np.testing.assert_allclose(values, expected, atol=2e-5)


def test_cpgs_have_the_values_of_windows_around_their_c(cpg_model, codes):
    letters = decode(codes)
    cpgs = [at for at in range(LENGTH) if letters[at : at + 2] == "CG"]
    starts, ends, values = predict(cpg_model, [("a", codes)], Cpgs())["a"]
    assert starts.tolist() == cpgs
    assert (ends == starts + 2).all()
    expected = 100 * sigmoid(2 * logits_of_whole(cpg_model, codes, starts) - 0.5)
    np.testing.assert_allclose(values, expected, atol=2e-3)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 600])
def test_short_sequences(grid_model, codes, length):
    starts, ends, values = predict(grid_model, [("a", codes[:length])])["a"]
    assert ends[-1] == length
    centres = np.minimum(starts + 64, length - 1)
    expected = sigmoid(logits_of_whole(grid_model, codes[:length], centres))
    np.testing.assert_allclose(values, expected, atol=2e-5)


REGIONS = [
    (7_000, 7_512),
    (0, 1),
    (19_000, LENGTH),
    (6_900, 7_001),
    (7_512, 7_513),
    (300, 300 + 128),
]


@pytest.mark.parametrize("sites", [Grid(), Grid(50), Cpgs()], ids=str)
@pytest.mark.parametrize("both_strands", [False, True])
def test_regions_only_select(grid_model, codes, sites, both_strands):
    sequences, options = [("a", codes)], {"both_strands": both_strands}
    starts, ends, values = predict(grid_model, sequences, sites, **options)["a"]
    kept = [any(s < b and e > a for a, b in REGIONS) for s, e in zip(starts, ends, strict=True)]
    assert 0 < sum(kept) < len(kept)
    spans = {"a": union(np.array(REGIONS))}
    found = predict(grid_model, sequences, sites, spans, **options)["a"]
    assert same(found, (starts[kept], ends[kept], values[kept]))


def test_each_region_alone_gives_the_same(grid_model, codes):
    sequences = [("a", codes)]
    whole = predict(grid_model, sequences)["a"]
    for region in REGIONS:
        starts, ends, values = predict(grid_model, sequences, spans={"a": np.array([region])})["a"]
        at = np.searchsorted(whole[0], starts)
        assert same((starts, ends, values), [array[at] for array in whole])
        assert starts[0] <= region[0] < ends[0]
        assert starts[-1] < region[1] <= ends[-1]


def test_only_needed_tiles_are_computed(grid_model, codes):
    predictor = TrackPredictor(grid_model, Grid(), Compute())
    computed, network = [], predictor._network

    def counting(tokens):
        computed.append(tokens.shape)
        return network(tokens)

    predictor._network = counting

    def count(sequences, spans_of=None):
        computed.clear()
        for _ in predictor.predict(sequences, spans_of):
            pass
        return len(computed)

    tiles = count([("a", codes)])
    assert tiles >= 3
    assert len(set(computed)) == 1  # one shape, so that every tile is computed alike
    assert count([("a", codes)], lambda *_: np.array([[3_000, 3_512]])) == 1
    assert count([("a", codes), ("b", codes)], lambda *_: NOTHING) == 0
    unknown = np.where(np.arange(LENGTH) < LENGTH // 2, N, codes).astype(np.uint8)
    assert 0 < count([("a", unknown)]) < tiles
    core = predictor.planned_bases(LENGTH, np.array([[3_000, 3_512]]))
    assert 512 < core < LENGTH == predictor.planned_bases(LENGTH, None)


@pytest.mark.parametrize("both_strands", [False, True])
def test_threads_and_company_change_no_bit(grid_model, fly_codes, both_strands):
    sequences = [("a", fly_codes[:15_000]), ("b", fly_codes[:40]), ("c", fly_codes[9_000:20_000])]
    usual = predict(grid_model, sequences, both_strands=both_strands)
    threads = predict(grid_model, sequences, compute=Compute(threads=3), both_strands=both_strands)
    backwards = predict(grid_model, sequences[::-1], both_strands=both_strands)
    for name, codes in sequences:
        alone = predict(grid_model, [(name, codes)], both_strands=both_strands)
        assert same(usual[name], threads[name])
        assert same(usual[name], backwards[name])
        assert same(usual[name], alone[name])


@pytest.mark.parametrize("sites", [Grid(100), Grid(125), Cpgs()], ids=str)
@pytest.mark.parametrize("length", [20_000, 1_000])
def test_both_strands_mirror(grid_model, fly_codes, sites, length):
    codes = fly_codes[:length]
    both = [("+", codes), ("-", reverse_complement(codes))]
    found = predict(grid_model, both, sites, both_strands=True)
    starts, ends, values = found["-"]
    assert (length - ends[::-1] == found["+"][0]).all()
    np.testing.assert_allclose(values[::-1], found["+"][2], atol=2e-5)
    plain = predict(grid_model, both[:1], sites)["+"][2]
    assert np.abs(plain - found["+"][2]).max() > 0.02


def test_bins_of_nothing_but_n_have_no_value(grid_model, codes):
    codes[:300] = N
    codes[1_024 : 1_024 + 256] = N
    codes[-11 - 1 :] = N
    starts = predict(grid_model, [("a", codes)])["a"][0].tolist()
    missing = sorted(set(range(0, LENGTH, 128)) - set(starts))
    assert missing == [0, 128, 1_024, 1_152]
    assert predict(grid_model, [("a", np.full(9_000, N, np.uint8))])["a"][0].tolist() == []


def test_chosen_labels_are_those_of_all(grid_model, codes):
    sequences = [("a", codes[:5_000])]
    every = predict(grid_model, sequences)["a"][2]
    some = predict(grid_model, sequences, chosen=[2, 0])["a"][2]
    assert np.array_equal(some, every[:, [2, 0]])


def test_values_of_labels():
    logits = np.array([-1000, -1, 0, 2, 1000], np.float32)
    plain = TrackLabel("ctcf", "x")
    assert unit(plain) == "probability"
    np.testing.assert_allclose(
        label_values(plain, logits), [0, 0.268941, 0.5, 0.880797, 1], atol=1e-6
    )
    calibrated = TrackLabel("ctcf", "x", scale=2, shift=1)
    np.testing.assert_allclose(label_values(calibrated, logits)[2], 0.731059, atol=1e-6)
    methylation = TrackLabel("methylation", "x")
    assert unit(methylation) == "percent"
    assert np.allclose(label_values(methylation, logits), 100 * label_values(plain, logits))
    signal = TrackLabel("mine", "x", kind="quantity")
    assert unit(signal) == "signal"
    depth = np.array([0, 3, 250], np.float32)
    np.testing.assert_allclose(label_values(signal, np.log1p(depth)), depth, rtol=1e-5)


def test_values_that_are_no_numbers_are_refused(grid_model, codes):
    import copy

    broken = copy.deepcopy(grid_model)
    with torch.no_grad():
        broken.head.linear.bias[0] = torch.nan
    with pytest.raises(ModelError, match="no numbers at a:1-"):
        predict(broken, [("a", codes[:2_000])])
