from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from dnaannot.nn.checkpoint import load_encoder, load_nine_label_model
from dnaannot.predict.scorer import Compute
from dnaannot.training.bend_data import BendData, Sample
from studies import paper
from studies.paper import ARMS, PRETRAINING, Plan, Study, everything
from studies.paper_report import differences, read_runs, table

FLOPS = 1e9


@pytest.fixture
def study(tmp_path):
    """A study of short random samples; a few steps an arm."""
    random = np.random.default_rng(1)

    def samples(count: int) -> list[Sample]:
        codes = random.integers(0, 4, (count, 1500)).astype(np.uint8)
        return [Sample(each, np.where(each == 0, 0, 8).astype(np.uint8)) for each in codes]

    data = BendData(samples(4), samples(1), samples(1))
    return Study(tmp_path / "study", data, Plan("mini", 2, 1e-3, FLOPS, FLOPS / 2), Compute())


def test_an_interrupted_run_ends_as_an_undisturbed_one(study, tmp_path, monkeypatch):
    scratch = ARMS[0]
    study.finetune(scratch, 1, 100)
    disturbed = Study(tmp_path / "disturbed", study.data, study.plan, study.compute)
    calls = []

    def failing(self, model):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validate(self, model)

    validate = paper.BendValidation.__call__
    with monkeypatch.context() as patched:
        patched.setattr(paper.BendValidation, "__call__", failing)
        with pytest.raises(KeyboardInterrupt):
            disturbed.finetune(scratch, 1, 100)
    assert disturbed.path(scratch.name, 1, 100, ".state").exists()
    disturbed.finetune(scratch, 1, 100)
    one, other = (
        json.loads(each.path(scratch.name, 1, 100, ".json").read_text())
        for each in (study, disturbed)
    )
    assert [h["mcc"] for h in one["history"]] == [h["mcc"] for h in other["history"]]
    assert one["test_confusion"] == other["test_confusion"]
    seconds = [each["seconds"] for each in other["history"]]
    assert seconds == sorted(seconds)


def test_arms_begin_where_they_say_and_cost_what_they_may(study):
    for _ in everything(study, [1], []):
        pass
    encoder, _ = load_encoder(study.path(PRETRAINING, 1, 100, ".safetensors"))
    runs = {}
    for arm in ARMS:
        runs[arm.name] = json.loads(study.path(arm.name, 1, 100, ".json").read_text())
        model, _ = load_nine_label_model(study.path(arm.name, 1, 100, ".safetensors"))
        same = all(
            torch.equal(value, encoder.state_dict()[name])
            for name, value in model.encoder.state_dict().items()
        )
        assert same == arm.frozen
        assert (model.crf is not None) == arm.crf
        expected = FLOPS * (1.5 if arm.extra else 1)
        if not arm.frozen:
            half_a_step = 0.5 * runs[arm.name]["flops"] / runs[arm.name]["steps"]
            assert abs(runs[arm.name]["flops"] - expected) <= half_a_step
    assert runs["SPT, encoder fixed"]["steps"] == runs["SPT"]["steps"]
    assert runs["SPT, encoder fixed"]["flops"] < runs["SPT"]["flops"]
    lines = table(read_runs(study.folder), {})
    assert len(lines) == 2 + len(ARMS)
    assert f"{runs['SPT']['test_mcc']:.3f}" in lines[4]


def test_pretraining_and_crf_are_told_apart():
    scores = {"scratch": 0.3, "scratch + CRF": 0.5, "SPT": 0.4, "SPT + CRF": 0.55}
    runs = [
        {"arm": arm, "percent": 100, "seed": seed, "test_mcc": score + 0.01 * seed}
        for arm, score in scores.items()
        for seed in (1, 2, 3)
    ]
    rows = {row.split("|")[1].strip(): row.split("|")[3].strip() for row in differences(runs, [])}
    assert rows["pretraining"] == "0.100 [0.100, 0.100]"
    assert rows["pretraining, both with CRF"] == "0.050 [0.050, 0.050]"
    assert rows["CRF"] == "0.200 [0.200, 0.200]"
    assert rows["CRF, both pretrained"] == "0.150 [0.150, 0.150]"
