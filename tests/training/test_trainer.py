from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import dnaannot.training.trainer
from dnaannot.errors import DataError, ModelError
from dnaannot.training.optimizers import ByMuon
from dnaannot.training.trainer import Schedule, Trainer, steps_within

MATRICES = ByMuon(("0.weight",))
SCHEDULE = Schedule(steps=12, learning_rate=0.05, warmup=3, validate_every=4)


class Interrupted(Exception):
    pass


def network(seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 1))


def losses_of_step(module, step):
    """A regression whose data follow from the step."""
    generator = torch.Generator().manual_seed(step)
    parts = [torch.randn(5, 3, generator=generator) for _ in range(3)]
    return [lambda x=x: (module(x) - x.sum(1, keepdim=True)).pow(2).mean() for x in parts]


def fitness(module):
    x = torch.linspace(-1, 1, 30).view(10, 3)
    with torch.no_grad():
        return {"score": -(module(x) - x.sum(1, keepdim=True)).pow(2).mean().item()}


@pytest.fixture
def few_losses(monkeypatch):
    monkeypatch.setattr(dnaannot.training.trainer, "_MOST_LOSSES", 3)


def trainer(module=None, schedule=SCHEDULE, saved=None, **options):
    saved = [] if saved is None else saved
    options = {"validate": fitness, "losses_of_step": losses_of_step, **options}
    return Trainer(
        network() if module is None else module,
        save_best=saved.append,
        schedule=schedule,
        **options,
    )


def weights(module):
    return torch.cat([value.flatten() for value in module.state_dict().values()])


def test_rate_warms_up_and_decays():
    rates = [SCHEDULE.rate(step) for step in range(13)]
    assert rates[:3] == pytest.approx([0.05 / 3, 0.1 / 3, 0.05])
    assert rates[3] == pytest.approx(0.05)
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[12] == pytest.approx(0.05 * SCHEDULE.final_share)


def test_it_learns_and_reports():
    steps, saved = [], []
    running = trainer(saved=saved, on_step=lambda *told: steps.append(told))
    before = fitness(running.module)["score"]
    history = running.run().history
    assert [told[:2] for told in steps] == [(step, 12) for step in range(1, 13)]
    assert [metrics["step"] for metrics in history] == [4, 8, 12]
    assert history[-1]["score"] > before
    assert saved == [
        metrics
        for number, metrics in enumerate(history)
        if all(metrics["score"] > earlier["score"] for earlier in history[:number])
    ]


def test_averages_with_the_start_are_tried_where_it_had_learned():
    """Weights run past the best on a straight line: what lies between is better than both ends."""
    saved, seen = [], []
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)

    def validate(module):
        seen.append(module.weight.item())
        return {"score": -((module.weight.item() - 0.4 * 10) ** 2)}

    def losses(module, step):
        return [lambda: (module.weight - 100).pow(2).sum()]

    schedule = Schedule(steps=20, learning_rate=0.5, warmup=0, final_share=1.0, validate_every=20)
    running = trainer(
        module, schedule, saved, validate=validate, losses_of_step=losses, is_trained=True
    )
    history = running.run().history
    start, end = seen[0], seen[1]
    assert start == 0
    assert end == pytest.approx(10, abs=0.5)
    assert seen[2:] == pytest.approx([0.7 * end, 0.4 * end])
    assert [told.get("start_share") for told in history] == [None, None, 0.3, 0.6]
    assert [told["step"] for told in history] == [0, 20, 20, 20]
    assert saved[-1] is history[-1]
    assert module.weight.item() == end
    assert len(running.run().history) == 4  # resumed once it was complete


def test_gradients_are_those_of_the_mean_loss():
    module, clipped = network(), []
    expected = network()
    loss = sum(part() for part in losses_of_step(expected, 0)) / 3
    loss.backward()
    running = trainer(module, Schedule(steps=1, warmup=0, clip=1e9))
    running.optimizers.step = lambda *_: clipped.append(
        [p.grad.clone() for p in module.parameters()]
    )
    running.run()
    for gradient, parameter in zip(clipped[0], expected.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, atol=1e-6)


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("by_muon", [ByMuon(), MATRICES, replace(MATRICES, bf16=True)])
def test_workers_change_no_bit(workers, by_muon):
    one, other = trainer(by_muon=by_muon), trainer(workers=workers, by_muon=by_muon)
    one.run()
    other.run()
    assert torch.equal(weights(one.module), weights(other.module))


def test_of_many_losses_means_are_kept(few_losses):
    told = []
    running = trainer(on_step=lambda step, steps, loss: told.append(loss))
    running.run()
    assert running.schedule.steps_a_loss == 4
    means = [sum(told[at : at + 4]) / 4 for at in (0, 4, 8)]
    assert running.progress.losses == pytest.approx(means)


@pytest.mark.parametrize("interrupted_after", [1, 4, 5, 11])
@pytest.mark.parametrize("by_muon", [ByMuon(), MATRICES, replace(MATRICES, bf16=True)])
def test_a_resumed_run_is_an_undisturbed_one(tmp_path, few_losses, interrupted_after, by_muon):
    undisturbed, path = trainer(by_muon=by_muon), tmp_path / "state"
    undisturbed.run()

    def stop(step, steps, loss):
        if step == interrupted_after:
            raise Interrupted

    schedule = replace(SCHEDULE, save_seconds=0.0)
    saved = []
    options = {"schedule": schedule, "saved": saved, "state_path": path, "by_muon": by_muon}
    first = trainer(on_step=stop, **options)
    with pytest.raises(Interrupted):
        first.run()
    second = trainer(network(7), **options)
    if interrupted_after > 1:
        second.load_state(path)
        assert second.progress.step == interrupted_after - 1
    else:
        assert not path.exists()
        second = trainer(**options)
    progress = second.run()
    assert torch.equal(weights(second.module), weights(undisturbed.module))
    assert progress.history == undisturbed.progress.history
    assert progress.losses == undisturbed.progress.losses
    assert Trainer.steps_of(path) == 12


def test_it_stops_early_without_gain():
    scores = iter([1.0, 3.0, 2.0, 2.0, 9.0])
    schedule = Schedule(steps=50, warmup=0, validate_every=2, patience=2)
    running = trainer(schedule=schedule, validate=lambda _: {"score": next(scores)})
    progress = running.run()
    assert (progress.step, progress.best, progress.stale) == (8, 3.0, 2)


def test_a_run_that_stopped_early_is_over_when_resumed(tmp_path):
    schedule, path = replace(SCHEDULE, validate_every=2, patience=1), tmp_path / "state"
    scores = iter([1.0, 0.5])
    trainer(schedule=schedule, validate=lambda _: {"score": next(scores)}, state_path=path).run()
    resumed = trainer(network(7), schedule, state_path=path)
    resumed.load_state(path)
    before = weights(resumed.module).clone()
    assert resumed.run().step == 4
    assert torch.equal(weights(resumed.module), before)


@pytest.mark.parametrize("interrupted_after", [1, 6])
def test_what_is_trained_already_is_kept_where_training_does_harm(tmp_path, interrupted_after):
    """Also by a run that is interrupted and resumed."""
    path, saved, undisturbed = tmp_path / "state", [], []
    trainer(saved=undisturbed, is_trained=True).run()
    assert [metrics["step"] for metrics in undisturbed] == [0, 4, 8, 12]
    good = network()
    trainer(good, replace(SCHEDULE, steps=300, validate_every=300)).run()
    schedule = replace(SCHEDULE, learning_rate=2.0, save_seconds=0.0)

    def stop(step, steps, loss):
        if step > interrupted_after:
            raise Interrupted

    options = {"schedule": schedule, "state_path": path, "saved": saved, "is_trained": True}
    before = fitness(good)["score"]
    with pytest.raises(Interrupted):
        trainer(good, on_step=stop, **options).run()
    second = trainer(network(7), **options)
    second.load_state(path)
    progress = second.run()
    assert [metrics["step"] for metrics in progress.history] == [0, 4, 8, 12, 12, 12]
    assert saved == [{"step": 0, "score": before}]


def test_a_resumed_run_knows_its_best(tmp_path):
    """Weights that are worse than those saved before the interruption are not saved."""
    path, saved = tmp_path / "state", []

    def stop(step, steps, loss):
        if step == 9:
            raise Interrupted

    def falling(scores):
        return lambda _: {"score": next(scores)}

    first = trainer(saved=saved, state_path=path, on_step=stop, validate=falling(iter([3.0, 2.0])))
    with pytest.raises(Interrupted):
        first.run()
    second = trainer(network(7), saved=saved, state_path=path, validate=falling(iter([2.5])))
    second.load_state(path)
    # saved at the validation before, as the least time between two saves had not gone by
    assert (second.progress.step, second.progress.best, second.progress.stale) == (8, 3.0, 1)
    progress = second.run()
    assert (progress.best, progress.stale) == (3.0, 2)
    assert [metrics["score"] for metrics in saved] == [3.0]


def test_states_of_other_runs_are_refused(tmp_path):
    path = tmp_path / "state"
    running = trainer(state_path=path, fingerprint={"data": "a"})
    running.run()
    trainer(fingerprint={"data": "a", "more": 1}).load_state(path)
    for other in (
        trainer(fingerprint={"data": "b"}),
        trainer(),
        trainer(schedule=Schedule(steps=13), fingerprint={"data": "a"}),
        trainer(fingerprint={"data": "a"}, by_muon=MATRICES),
    ):
        with pytest.raises(ModelError, match="other settings"):
            other.load_state(path)


def test_states_of_older_versions_are_those_of_adamw(tmp_path):
    path = tmp_path / "state"
    running = trainer(state_path=path)
    del running.fingerprint["by_muon"]
    running.run()
    trainer().load_state(path)
    with pytest.raises(ModelError, match="other settings"):
        trainer(by_muon=MATRICES).load_state(path)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 9, None])
def test_what_is_no_state_is_refused(tmp_path, content):
    path = tmp_path / "state"
    if content is None:
        trainer(state_path=path).run()
        content = path.read_bytes()[:-50]
    path.write_bytes(content)
    with pytest.raises(ModelError, match="no state of a training run"):
        trainer().load_state(path)
    with pytest.raises(ModelError, match="no state of a training run"):
        Trainer.steps_of(path)


def test_a_loss_that_is_no_number_ends_the_run():
    def broken(module, step):
        return [lambda: module[0].weight.sum() * (math.nan if step == 2 else 1.0)]

    with pytest.raises(DataError, match="step 3 or its gradient is not a number"):
        trainer(losses_of_step=broken).run()


def test_timing_leaves_the_module_as_it_was():
    running = trainer()
    before = weights(running.module).clone()
    assert running.steps_within(0.5, 3) > 1
    assert torch.equal(weights(running.module), before)
    assert running.progress.step == 0


@pytest.mark.parametrize("look", [0.0, 1.0, 30.0])
def test_steps_and_their_validations_fill_the_time(look):
    steps = steps_within(600, 2.0, look, 10)
    assert 600 - 2 - look <= 2 * steps + look * steps / 10 <= 600
    assert steps_within(-5, 2.0, look, 10) == 1


@pytest.mark.parametrize(("is_trained", "looks"), [(False, 1), (True, 4)])
def test_a_time_budget_pays_for_validations(monkeypatch, is_trained, looks):
    running = trainer(is_trained=is_trained)
    monkeypatch.setattr(running, "seconds_per_step", lambda steps: 1.0)
    monkeypatch.setattr(running, "seconds_per_validation", lambda: 10.0)
    steps = running.steps_within(200, 3)
    assert steps + (steps / 4 + looks) * 10 <= 200 < steps + 1 + ((steps + 1) / 4 + looks) * 10
    assert running.steps_within(5, 3) == 1


def test_muon_moves_what_it_is_told_and_adamw_the_rest():
    running = trainer(by_muon=MATRICES)
    running.run()
    states = {
        name: set(running.optimizers.state_of(p)) for name, p in running.module.named_parameters()
    }
    assert states.pop("0.weight") == {"exp_avg"}
    assert all(state == {"step", "exp_avg", "exp_avg_sq"} for state in states.values())


def test_weight_decay_spares_biases():
    running = trainer()
    decayed, plain = running.optimizers.adamw.param_groups
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim == 1 for p in plain["params"])
    assert plain["weight_decay"] == 0


def test_gradients_that_are_no_number_do_not_reach_the_weights():
    def broken(module, step):
        x = module[0].weight
        return [lambda: (x - x.detach()).abs().sqrt().sum() if step == 2 else x.sum()]

    running = trainer(losses_of_step=broken, state_path=None)
    with pytest.raises(DataError, match=r"step 3 or its gradient is not a number.*--init"):
        running.run()
    assert torch.isfinite(weights(running.module)).all()
