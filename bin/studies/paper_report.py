"""The report of the paper's comparison: its Table 1, what contributes what, its Figures 1 and 3."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnaannot.evaluate.seeds import estimate, paired_difference
from dnaannot.formats.output import atomic_output, make_folder
from studies.paper import ARMS, PRETRAINING, Study


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """What the finished runs left."""
    return [json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*.json"))]


def of(runs: Sequence[dict[str, Any]], arm: str, percent: int = 100) -> dict[int, dict[str, Any]]:
    """The runs of an arm by seed."""
    return {run["seed"]: run for run in runs if (run["arm"], run["percent"]) == (arm, percent)}


def table(runs: Sequence[dict[str, Any]], peer: dict[str, Any]) -> list[str]:
    """Table 1: what each arm scored, and what it cost."""
    lines = [
        "| arm | MCC, test | MCC, validation | seeds | fine-tuning, TFLOP | pretraining, TFLOP "
        "| minutes a run | the paper's MCC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    pretraining = list(of(runs, PRETRAINING).values())
    for arm in ARMS:
        mine = list(of(runs, arm.name).values())
        if not mine:
            lines.append(f"| {arm.name} | not run | | 0 | | | | {arm.paper or ''} |")
            continue
        before = mean(pretraining, "flops") / 1e12 if arm.pretrained else 0
        lines.append(
            f"| {arm.name} | {estimate([run['test_mcc'] for run in mine]).text()} "
            f"| {estimate([run['valid'] for run in mine]).text()} | {len(mine)} "
            f"| {mean(mine, 'flops') / 1e12:.3g} | {before:.3g} "
            f"| {mean(mine, 'seconds') / 60:.1f} | {arm.paper or ''} |"
        )
    if peer:
        lines.append(
            f"| AUGUSTUS --species={peer['species']} | {peer['test_mcc']:.3f} | | | | "
            f"| {peer['seconds'] / 60:.1f} | 0.80 |"
        )
    return lines


def mean(runs: Sequence[dict[str, Any]], key: str) -> float:
    """Mean of one value."""
    return sum(run[key] for run in runs) / len(runs)


COMPARISONS = (
    ("pretraining", "SPT", "scratch"),
    ("pretraining, both with CRF", "SPT + CRF", "scratch + CRF"),
    ("CRF", "scratch + CRF", "scratch"),
    ("CRF, both pretrained", "SPT + CRF", "SPT"),
    ("pretraining against its FLOPs spent on labels", "SPT", ARMS[4].name),
    ("the same, both with CRF", "SPT + CRF", ARMS[5].name),
)


def differences(runs: Sequence[dict[str, Any]], percents: Sequence[int]) -> list[str]:
    """What pretraining and the CRF each contribute, seed by seed."""
    lines = ["| what | labels | difference in test MCC | seeds |", "|---|---|---|---|"]
    for what, one, other in COMPARISONS:
        for percent in sorted({100, *percents}, reverse=True):
            ours, theirs = of(runs, one, percent), of(runs, other, percent)
            seeds = sorted(ours.keys() & theirs.keys())
            if seeds:
                found = paired_difference(*(
                    [side[seed]["test_mcc"] for seed in seeds] for side in (ours, theirs)
                ))  # fmt: skip
                lines.append(f"| {what} | {percent} % | {found.text()} | {len(seeds)} |")
    return lines


def draw_training(runs: Sequence[dict[str, Any]]) -> Any:
    """Figure 1: validation MCC in the course of fine-tuning."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, arm in enumerate(ARMS):
        mine = list(of(runs, arm.name).values())
        if not mine or arm.frozen:
            continue
        for index, run in enumerate(mine):
            at = [run["flops"] * each["step"] / run["steps"] / 1e12 for each in run["history"]]
            values = [each["mcc"] for each in run["history"]]
            label = arm.name if index == 0 else None
            axes.plot(
                at, values, color=f"C{number}", lw=1, ls="--" if arm.crf else "-", label=label
            )
        if arm.name == "SPT":
            axes.axhline(mean(mine, "valid"), color="0.5", lw=0.8, ls=":")
    axes.set(xlabel="TFLOP of fine-tuning", ylabel="validation MCC (9 labels)")
    axes.legend(fontsize=7)
    return figure


def draw_fractions(runs: Sequence[dict[str, Any]], percents: Sequence[int]) -> Any:
    """Figure 3: test MCC by share of the labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    for number, arm in enumerate(ARMS):
        by_share = {p: list(of(runs, arm.name, p).values()) for p in sorted({100, *percents})}
        found = {p: estimate([r["test_mcc"] for r in mine]) for p, mine in by_share.items() if mine}
        if found and not arm.extra:
            values = list(found.values())
            spread = [[e.mean - e.low for e in values], [e.high - e.mean for e in values]]
            # beside each other, so that no interval hides another
            places = [p * 1.02 ** (number - len(ARMS) / 2) for p in found]
            axes.errorbar(places, [e.mean for e in values], np.nan_to_num(spread),
                          color=f"C{number}", marker="o", ms=3, capsize=2, label=arm.name,
                          ls="--" if arm.crf else "-")  # fmt: skip
    axes.set(xlabel="labelled training samples, %", ylabel="test MCC (9 labels)", xscale="log")
    axes.set_xticks(sorted({100, *percents}), [str(p) for p in sorted({100, *percents})])
    axes.minorticks_off()
    figure.legend(fontsize=7, loc="outside right upper")
    return figure


def pretraining_line(runs: Sequence[dict[str, Any]]) -> str:
    """What the encoders know of hidden bases, beside the best k-mer model."""
    if not runs:
        return "Pretraining: not run."
    bits = estimate([-run["valid"] for run in runs]).text()
    name, best = min(runs[0]["k_mers"].items(), key=lambda item: item[1])
    return (
        f"Pretraining: {len(runs)} encoders of {mean(runs, 'seconds') / 60:.1f} minutes each; "
        f"{bits} bits per hidden base of the validation samples, {best:.3f} by the best k-mer "
        f"model ({name})."
    )


def write_report(
    study: Study, folder: Path, percents: Sequence[int], peer: dict[str, Any], command: str
) -> None:
    """Write gene_finding.md, its figures and runs.json into a folder.

    figure1.png is validation MCC by FLOPs; figure3.png, where runs on parts of the labels are
    done, test MCC by share of the labels.
    """
    make_folder(folder)
    runs = read_runs(study.folder)
    figures = {"figure1.png": ("validation MCC in the course of training", draw_training(runs))}
    if {run["percent"] for run in runs} & set(percents) - {100}:
        drawn = draw_fractions(runs, percents)
        figures["figure3.png"] = ("test MCC by share of the labels", drawn)
    for name, (_, figure) in figures.items():
        with atomic_output(folder / name, "wb") as stream:
            figure.savefig(stream, format="png", dpi=110)
    with atomic_output(folder / "runs.json") as stream:
        json.dump(runs, stream, indent=1)
    plan, data, config = study.plan, study.data, study.config
    pretraining = list(of(runs, PRETRAINING).values())
    text = [
        "# Gene finding: the paper's comparison",
        "",
        f"Encoder `{plan.size}`: {config.kind}, {config.channels} channels, "
        f"{len(config.dilations)} layers. {len(data.train):,} samples to train on, "
        f"{len(data.valid):,} to validate, {len(data.test):,} to test "
        f"({sum(len(s.codes) for s in data.test):,} bases). Batch {plan.batch}, {plan.optimizer} "
        f"at a peak learning rate of {plan.learning_rate:g}; half of the samples are "
        "reverse-complemented, anew in each epoch, in pretraining and fine-tuning alike. Arms are "
        "compared at equal FLOPs of fine-tuning, the best weights by validation MCC are tested. "
        "The CRF is pytorch-crf's; its scores begin with the label pairs' log-frequencies in the "
        "labels trained on. Parts of the labels: nested random subsets, at the FLOPs of all "
        "labels.",
        "",
        pretraining_line(pretraining),
        "",
        "Brackets: 95 % confidence interval of the mean over seeds (Student's t).",
        "",
        *table(runs, peer),
        "",
        *differences(runs, percents),
        "",
        *(line for name, (what, _) in figures.items() for line in (f"![{what}]({name})", "")),
        "```sh",
        command,
        "```",
    ]
    with atomic_output(folder / "gene_finding.md") as stream:
        stream.write("\n".join(text) + "\n")
