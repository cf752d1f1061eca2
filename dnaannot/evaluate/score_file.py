"""Scores as JSON, with what they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dnaannot import __version__
from dnaannot.formats.output import atomic_output


def write_scores(
    path: Path, scores: Mapping[str, Any], inputs: Mapping[str, str], notes: Sequence[str]
) -> None:
    """Write scores as JSON, under their own names beside `inputs` and `notes`.

    Args:
        scores: values that JSON has.
        inputs: what was compared.
        notes: what the reader should know first.

    Raises:
        OutputError: it cannot be written.
    """
    content = {"dnaannot": __version__, "inputs": inputs, "notes": notes, **scores}
    with atomic_output(path) as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")
