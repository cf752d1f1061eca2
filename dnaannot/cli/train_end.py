"""What the training commands say at their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dnaannot.training.run import Run


def announce(
    best: Mapping[str, float],
    run: Run[Any],
    is_shown: Callable[[str], bool] = lambda _: True,
) -> None:
    """Tell the metrics of the weights kept, and where they are; of several processes one does.

    Args:
        is_shown: whether to tell of a metric; the report has all.
    """
    from dnaannot.training.curves import is_metric

    told = {name: value for name, value in best.items() if is_metric(name) and is_shown(name)}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in told.items())
    run.note(f"best at step {best.get('step', 0)}: {shown}")
    run.note(f"wrote {run.output} and {run.report_folder}")
