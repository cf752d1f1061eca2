from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dnaannot.errors import DataError, ModelError, SettingsError
from dnaannot.nn.checkpoint import load_gene_model, model_bytes
from dnaannot.nn.encoder import PRESETS, build_encoder
from dnaannot.nn.masked import MaskedModel
from dnaannot.training.gene_run import GeneRun
from dnaannot.training.run import forget
from dnaannot.training.scratch import ArmCost, Comparison, compare_scratch


@pytest.fixture
def run(test_data, tmp_path):
    """Two steps on 120 kb of yeast from a random encoder."""
    torch.manual_seed(9)
    encoder = tmp_path / "encoder.safetensors"
    encoder.write_bytes(model_bytes(MaskedModel(PRESETS["tiny"]), {}))
    piece = test_data / "yeast_chrII_120kb"
    return GeneRun(
        files=[f"{piece}.fa.gz", f"{piece}.gff3.gz"], output=str(tmp_path / "m.safetensors"),
        encoder=str(encoder), steps=2, batch=1, window_bases=900, crf_start=1.0, device="cpu",
        note=lambda _: None, warn=lambda _: None,
    )  # fmt: skip


def test_forgotten_weights_are_random_and_free():
    encoder = build_encoder(PRESETS["tiny"]).requires_grad_(False)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    torch.manual_seed(4)
    forget(encoder)
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    matrices = [name for name, value in before.items() if value.ndim > 1]
    assert not any(torch.equal(before[name], encoder.state_dict()[name]) for name in matrices)
    norms = [m for m in encoder.modules() if isinstance(m, torch.nn.LayerNorm)]
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


def test_arms_differ_by_their_encoder_alone(run, tmp_path):
    comparison = compare_scratch(run, seeds=2)
    assert comparison.pretrained_cost == comparison.scratch_cost
    assert comparison.scratch_cost.steps == 2
    assert comparison.scratch_cost.flops > 0
    folder = tmp_path / "m.safetensors.comparison"
    facts = json.loads((folder / "comparison.json").read_text())
    assert facts["seeds"] == [1, 2]
    assert facts["difference"]["score"]["seeds"] == 2
    assert comparison.sentences()[-1].endswith("over 2 seeds")
    # the same as runs on their own
    alone = replace(run, output=str(tmp_path / "alone.safetensors"), seed=2)
    alone.train()
    twin = load_gene_model(folder / "encoder.2.safetensors")[0].state_dict()
    for name, value in load_gene_model(tmp_path / "alone.safetensors")[0].state_dict().items():
        assert torch.equal(value, twin[name])
    scratch = load_gene_model(folder / "scratch.2.safetensors")[0].state_dict()
    assert not torch.equal(scratch["encoder.embed.weight"], twin["encoder.embed.weight"])
    # what is complete is not trained again
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    (folder / "scratch.2.json").unlink()
    again = compare_scratch(replace(run, resume=True), seeds=2)
    assert again == comparison
    changed = {path.name for path, time in written.items() if path.stat().st_mtime_ns != time}
    assert changed == {"scratch.2.safetensors"}


def test_arms_of_another_comparison_are_not_taken(run, tmp_path):
    """Neither an earlier one's, nor those of other settings."""
    compare_scratch(run, seeds=1)
    folder = tmp_path / "m.safetensors.comparison"
    other = replace(run, steps=3)
    with pytest.raises(ModelError, match=r"costs\.json.* other settings"):
        compare_scratch(replace(other, resume=True), seeds=1)
    with pytest.raises(ModelError, match=r"costs\.json.* other settings"):
        compare_scratch(replace(run, learning_rate=0.1, resume=True), seeds=1)

    def stop(name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_scratch(other, seeds=1, on_arm=stop)
    assert not list(folder.glob("*.1.json"))
    comparison = compare_scratch(replace(other, resume=True), seeds=1)
    assert [metrics["step"] for metrics in comparison.pretrained] == [3]


def test_arms_of_another_optimizer_are_not_taken(run, tmp_path):
    """Those of older versions are AdamW's."""
    run = replace(run, learning_rate=1e-3)
    compare_scratch(run, seeds=1)
    adamw = replace(run, optimizer="adamw", resume=True)
    with pytest.raises(ModelError, match=r"costs\.json.* other settings"):
        compare_scratch(adamw, seeds=1)
    record = tmp_path / "m.safetensors.comparison" / "costs.json"
    facts = json.loads(record.read_text())
    del facts["run"]["optimizer"]
    record.write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=r"costs\.json.* other settings"):
        compare_scratch(replace(run, resume=True), seeds=1)
    assert compare_scratch(adamw, seeds=1).pretrained_cost.steps == 2


def test_a_comparison_stopped_before_it_began_can_be_resumed(run):
    comparison = compare_scratch(replace(run, resume=True), seeds=1)
    assert comparison.pretrained_cost.steps == 2
    with pytest.raises(SettingsError, match="how long to train"):
        compare_scratch(
            replace(run, steps=None, resume=True, output=f"{run.output}.other.safetensors"), seeds=1
        )


def test_a_frozen_encoder_leaves_fewer_steps_from_scratch(run):
    comparison = compare_scratch(replace(run, freeze=True, steps=12), seeds=1)
    fixed, free = comparison.pretrained_cost, comparison.scratch_cost
    assert fixed.steps == 12
    assert free.steps < 12
    assert free.flops == pytest.approx(fixed.flops, rel=0.5 / free.steps)


def test_what_was_interrupted_is_not_lost(run):
    folder = Path(f"{run.output}.comparison")
    folder.mkdir()
    (folder / "scratch.1.safetensors.state").write_bytes(b"hours")
    with pytest.raises(DataError, match="interrupted comparison"):
        compare_scratch(run, seeds=1)
    (folder / "scratch.1.safetensors.state").unlink()
    run.state_path.write_bytes(b"hours")
    for resume in (False, True):
        with pytest.raises(DataError, match="without --compare-scratch"):
            compare_scratch(replace(run, resume=resume), seeds=1)
    assert run.state_path.read_bytes() == b"hours"


def test_a_run_without_encoder_has_nothing_to_compare(run):
    with pytest.raises(SettingsError, match="without an encoder"):
        compare_scratch(replace(run, encoder=None), seeds=1)


def test_differences_are_of_the_same_seed():
    runs = [{"score": 0.5, "f1": 0.7, "step": 10}, {"score": 0.6, "f1": 0.9, "step": 20}]
    other = [{"score": 0.4, "f1": 0.7, "step": 10}, {"score": 0.5, "extra": 1.0, "step": 30}]
    cost = ArmCost(30, 1e12)
    comparison = Comparison([1, 2], runs, other, cost, cost)
    assert comparison.metrics == ["score"]
    assert comparison.difference().mean == pytest.approx(0.1)
