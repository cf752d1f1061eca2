from __future__ import annotations

import math

import numpy as np
import pytest

from dnaannot.catalog import Entry
from dnaannot.dna.signature import signature, signature_distance
from dnaannot.predict.nearest import FAR, nearest

CODES = np.random.default_rng(1).choice(4, 4000, p=[0.4, 0.2, 0.1, 0.3]).astype(np.uint8)
REPEATS = np.arange(4000, dtype=np.uint8) % 4


def entry(name, spreads=None, **genomes):
    signatures = {genome: signature([codes]).tolist() for genome, codes in genomes.items()}
    card = {"signatures": signatures, "signature_spreads": spreads or {}}
    return Entry(name, None, {"card": card})


def test_the_nearest_genome_of_each_model_counts():
    models = [
        Entry("untold", None, {}),
        entry("far", a=REPEATS),
        entry("near", a=REPEATS, b=CODES[:2000]),
        entry("alike", b=CODES[:2000]),
    ]
    choices = nearest(models, [CODES[2000:]])
    assert [choice.entry.name for choice in choices] == ["near", "alike", "far", "untold"]
    own, half, repeats = (signature([x]) for x in (CODES[2000:], CODES[:2000], REPEATS))
    assert choices[0].distance == choices[1].distance == signature_distance(own, half)
    assert choices[2].distance == signature_distance(own, repeats)
    assert choices[3].distance == math.inf
    assert not any(choice.is_far for choice in choices)


@pytest.mark.parametrize("times", [0.9, 1.1])
def test_far_is_told_by_the_spread_of_each_genome(times):
    distance = nearest([entry("m", b=CODES[:2000])], [CODES[2000:]])[0].distance
    spreads = {"a": 0.001, "b": times * distance / FAR}
    (choice,) = nearest([entry("m", spreads, a=REPEATS, b=CODES[:2000])], [CODES[2000:]])
    assert choice.is_far == (times < 1)
    (choice,) = nearest([entry("m", {**spreads, "a": 9.0}, a=REPEATS, b=CODES[:2000])], [CODES])
    assert not choice.is_far
