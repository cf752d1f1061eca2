"""The bundled models, by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from dnaannot.errors import ModelError
from dnaannot.nn.checkpoint import read_facts


@dataclass(frozen=True)
class Entry:
    """A model that can be named.

    Attributes:
        name: its name, the file's stem.
        path: its file.
        facts: the JSON of its header; `facts["card"]` says what it was trained on.
    """

    name: str
    path: Path
    facts: dict[str, Any]

    @property
    def card(self) -> dict[str, Any]:
        """What is known of the model's training and accuracy."""
        return self.facts.get("card", {})

    @property
    def description(self) -> str:
        """The card that stands beside a bundled model, empty where there is none."""
        path = self.path.with_suffix(".md")
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @property
    def tasks(self) -> list[str]:
        """What the model serves: "genes", "encoder", or the tasks of its tracks."""
        if self.facts["task"] != "tracks":
            return [self.facts["task"]]
        return sorted({label["task"] for label in self.facts["labels"]})


def bundled(task: str | None = None) -> list[Entry]:
    """The models that come with the package, by name.

    Args:
        task: only those that serve it; see `Entry.tasks`.
    """
    folder = Path(str(files("dnaannot") / "models"))
    entries = [
        Entry(path.stem, path, read_facts(path)) for path in sorted(folder.glob("*.safetensors"))
    ]
    return [entry for entry in entries if task is None or task in entry.tasks]


def find(name_or_path: str) -> Entry:
    """A bundled model by name, or a model file by path.

    Raises:
        ModelError: if there is neither.
    """
    entries = bundled()
    for entry in entries:
        if entry.name == name_or_path:
            return entry
    path = Path(name_or_path)
    if path.suffix == ".safetensors" or path.is_file():
        return Entry(path.stem, path, read_facts(path))
    names = ", ".join(entry.name for entry in entries) or "none"
    raise ModelError(
        f"no model named {name_or_path!r}.",
        remedy=f"Bundled models: {names}; or give the path of a .safetensors file.",
    )
