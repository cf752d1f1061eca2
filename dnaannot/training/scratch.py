"""Whether a pretrained encoder was worth it: the same run from random weights, at equal FLOPs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from dnaannot.errors import DataError, ModelError, SettingsError
from dnaannot.evaluate.seeds import Estimate, estimate, paired_difference
from dnaannot.formats.output import atomic_output, make_folder
from dnaannot.predict.device import choose_compute
from dnaannot.training.curves import is_metric
from dnaannot.training.flops import training_flops
from dnaannot.training.processes import join_processes
from dnaannot.training.run import Job, Model, OnStep, Run
from dnaannot.training.trainer import Schedule

_COSTS = "costs.json"


@dataclass(frozen=True)
class ArmCost:
    """What one arm's training costs.

    Attributes:
        steps: optimizer steps.
        flops: in all, the pretraining of the encoder not counted.
    """

    steps: int
    flops: float


@dataclass(frozen=True)
class Comparison:
    """Best validation metrics of runs with the encoder and from random weights, by seed.

    Attributes:
        seeds: of the runs.
        pretrained, scratch: metrics of each seed's run.
        pretrained_cost, scratch_cost: of one run.
    """

    seeds: Sequence[int]
    pretrained: Sequence[dict[str, float]]
    scratch: Sequence[dict[str, float]]
    pretrained_cost: ArmCost
    scratch_cost: ArmCost

    def difference(self, metric: str = "score") -> Estimate:
        """How much higher a metric is with the encoder."""
        ours, theirs = ([run[metric] for run in arm] for arm in (self.pretrained, self.scratch))
        return paired_difference(ours, theirs)

    @property
    def metrics(self) -> list[str]:
        """Metrics that every run has."""
        runs = [*self.pretrained, *self.scratch]
        return [
            name
            for name in runs[0]
            if (is_metric(name) or name == "score") and all(name in run for run in runs)
        ]

    def sentences(self, metrics: Sequence[str] | None = None) -> list[str]:
        """What to tell the user: costs, then a line for each metric, all by default."""
        ours, theirs = self.pretrained_cost, self.scratch_cost
        lines = [
            f"with the encoder {ours.steps:,} steps, {ours.flops:.3g} FLOPs; from scratch "
            f"{theirs.steps:,} steps, {theirs.flops:.3g} FLOPs (pretraining not counted)"
        ]
        for name in self.metrics if metrics is None else metrics:
            arms = [
                estimate([run[name] for run in arm]).mean for arm in (self.pretrained, self.scratch)
            ]
            lines.append(
                f"{name}: {arms[0]:.3f} with the encoder, {arms[1]:.3f} from scratch, difference "
                f"{self.difference(name).text()} over {len(self.seeds)} seeds"
            )
        return lines


def compare_scratch(
    run: Run[Model], seeds: int, on_arm: Callable[[str], OnStep] = lambda _: lambda *__: None
) -> Comparison:
    """Train `run` and its twin from random weights, with as many FLOPs, for several seeds.

    The run's own model goes to its `output`, all others and `comparison.json` to the folder
    `output` + ".comparison". An arm that is complete there is not trained again where the run
    resumes, and the one that was interrupted goes on; records of an earlier comparison are
    deleted where it does not.

    Args:
        run: must name an encoder.
        seeds: runs of each kind, with the run's own seed and the following.
        on_arm: called with the name of an arm before it begins; returns its `on_step`.

    Raises:
        SettingsError: the run starts from no encoder.
        DataError: an interrupted run or comparison stands there that is not resumed, or as
            `Run.train`.
        ModelError: the comparison to go on with has other settings or data.
    """
    if not getattr(run, "encoder", None):
        raise SettingsError(
            "without an encoder every run is from scratch.", remedy="Give one by --encoder."
        )
    folder = Path(f"{run.output}.comparison")
    run = replace(run, resume=run.resume and (folder / _COSTS).exists())
    if not run.resume:
        _refuse_to_forget(run, folder)
        run.check()
        _forget_arms(make_folder(folder))
    numbers = range(run.seed, run.seed + seeds)
    costs = _costs(run, folder)
    results: dict[str, list[dict[str, float]]] = {"encoder": [], "scratch": []}
    for seed in numbers:
        for name, cost in zip(results, costs, strict=True):
            arm = _arm(run, name, seed, cost, folder)
            results[name].append(_trained(arm, folder / f"{name}.{seed}.json", run.resume,
                                          on_arm(f"{name}, seed {seed}")))  # fmt: skip
    comparison = Comparison(list(numbers), results["encoder"], results["scratch"], *costs)
    facts = {
        **asdict(comparison),
        "difference": {name: comparison.difference(name).facts() for name in comparison.metrics},
    }
    with atomic_output(folder / "comparison.json") as stream:
        json.dump(facts, stream, indent=1)
    return comparison


def _refuse_to_forget(run: Run[Model], folder: Path) -> None:
    """Refuse to begin anew where something stands that was interrupted.

    Raises:
        DataError: so it is.
    """
    if run.state_path.exists():
        raise DataError(
            "is the state of an interrupted run that compared nothing.",
            path=run.state_path,
            remedy="Go on from it without --compare-scratch, or name another --output.",
        )
    for state in folder.glob("*.state"):
        raise DataError(
            "is the state of an interrupted comparison, which would be lost.",
            path=state,
            remedy="Go on with --resume, or remove it to begin anew.",
        )


def _forget_arms(folder: Path) -> None:
    """Delete what an earlier comparison recorded."""
    if join_processes().is_first:
        for path in folder.glob("*.json"):
            path.unlink()


def _costs(run: Run[Model], folder: Path) -> tuple[ArmCost, ArmCost]:
    """Costs of a run with the encoder and of one from scratch, as near to it as whole steps can.

    Raises:
        ModelError: the run resumes and the costs recorded are of other settings or data.
    """
    compute = choose_compute(run.device, threads=run.threads)
    planned = replace(run, resume=False)
    job = planned.prepared(compute)
    if run.resume:
        return _recorded_costs(planned, job, folder / _COSTS)
    schedule = planned.plan(job, compute)
    twin = _scratch(planned).prepared(compute)
    per_step = [
        training_flops(each.model, each.losses(schedule.steps)(each.model, 0))
        for each in (job, twin)
    ]
    flops = float(schedule.steps * per_step[0])
    scratch_steps = max(1, round(flops / per_step[1]))
    costs = (
        ArmCost(schedule.steps, flops),
        ArmCost(scratch_steps, float(scratch_steps * per_step[1])),
    )
    facts = {"run": _fingerprint(planned, job, schedule), "costs": [asdict(cost) for cost in costs]}
    with atomic_output(folder / _COSTS) as stream:
        json.dump(facts, stream, indent=1)
    return costs


def _recorded_costs(run: Run[Model], job: Job[Model], record: Path) -> tuple[ArmCost, ArmCost]:
    """The costs in a record, where it is of this run."""
    facts = json.loads(record.read_text())
    if isinstance(facts, dict):
        first, second = (ArmCost(**cost) for cost in facts["costs"])
        mine = _fingerprint(run, job, run.schedule(run.steps or first.steps))
        if {"optimizer": "adamw", **facts["run"]} == mine:  # older versions had no other
            return first, second
    raise ModelError(
        "belongs to a comparison with other settings or data.",
        path=record,
        remedy="Resume with the command that began it, or begin anew without --resume.",
    )


def _fingerprint(run: Run[Model], job: Job[Model], schedule: Schedule) -> dict[str, Any]:
    """What a resumed comparison must share with the one it resumes, as JSON gives it back."""
    facts = {**job.fingerprint, "schedule": asdict(schedule), "optimizer": run.optimizer}
    return json.loads(json.dumps(facts))


def _scratch(run: Run[Model]) -> Run[Model]:
    """The run from random weights, all of them free."""
    frozen = {"freeze": False} if "freeze" in {each.name for each in fields(run)} else {}
    changes: dict[str, Any] = {"from_scratch": True, **frozen}
    return replace(run, **changes)


def _arm(run: Run[Model], name: str, seed: int, cost: ArmCost, folder: Path) -> Run[Model]:
    own = name == "encoder" and seed == run.seed
    output = run.output if own else str(folder / f"{name}.{seed}.safetensors")
    arm = _scratch(run) if name == "scratch" else run
    length: dict[str, Any] = {**dict.fromkeys(run.LENGTHS), "steps": cost.steps}
    arm = replace(arm, seed=seed, output=output, **length)
    return replace(arm, resume=run.resume and arm.state_path.exists())


def _trained(arm: Run[Model], record: Path, resume: bool, on_step: OnStep) -> dict[str, float]:
    """Metrics of an arm's best weights, from its record where it is complete."""
    if resume and record.exists():
        return json.loads(record.read_text())
    metrics = arm.train(on_step)
    with atomic_output(record) as stream:
        json.dump(metrics, stream, indent=1)
    return metrics
