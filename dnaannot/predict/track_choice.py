"""Which models serve a task of tracks, and which of their labels."""

from __future__ import annotations

from collections.abc import Sequence

from dnaannot import catalog
from dnaannot.catalog import Entry
from dnaannot.errors import DataError, ModelError
from dnaannot.nn.tracks import TrackLabel

TASKS = ("accessibility", "histone", "ctcf", "methylation")
"""What bundled models are for; a lab's own may have tasks of other names."""
_TRAIN = "train one on your own labels with `dnaannot train tracks`"


def candidates(task: str | None, name_or_path: str | None) -> list[Entry]:
    """The model asked for, or else the bundled ones that serve a task, by name; one or more.

    Raises:
        ModelError: if there is none, or it does not serve the task.
    """
    if name_or_path is None:
        entries = catalog.bundled(task)
        if not entries:
            raise ModelError(
                f"no bundled model is for {task}.",
                remedy=f"--task is one of {', '.join(TASKS)}; for others give a model with "
                f"--model PATH, or {_TRAIN}.",
            )
        return entries
    entry = catalog.find(name_or_path)
    if entry.facts["task"] != "tracks":
        raise ModelError(
            f"is a model for {entry.facts['task']!r}, not for tracks.",
            path=entry.path,
            remedy="`dnaannot models list` names the bundled models and their tasks.",
        )
    if task is not None and task not in entry.tasks:
        raise ModelError(
            f"is for {' and '.join(entry.tasks)}, not for {task}.",
            path=entry.path,
            remedy=f"Give another --task or --model, or {_TRAIN}.",
        )
    return [entry]


def choose_labels(
    labels: Sequence[TrackLabel], task: str | None, wanted: Sequence[str] = ()
) -> list[int]:
    """Indices of the labels of a task, in order.

    Args:
        task: any by default.
        wanted: names of labels, or parts of names between two underscores (`k562` of
            `dnase__k562`); all by default.

    Raises:
        DataError: if no label is called so.
    """
    of_task = [i for i, label in enumerate(labels) if task in (None, label.task)]
    chosen: set[int] = set()
    for name in wanted:
        found = [i for i in of_task if labels[i].name.lower() == name.lower()] or [
            i for i in of_task if name.lower() in labels[i].name.lower().split("__")
        ]
        if not found:
            there = ", ".join(labels[i].name for i in of_task)
            raise DataError(f"the model has no label '{name}'.", remedy=f"Its labels are: {there}.")
        chosen.update(found)
    return sorted(chosen) if wanted else of_task
