"""The package's metadata agrees with its code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dnaannot

ROOT = Path(__file__).resolve().parents[1]
MODULE_OF = {"pytorch-crf": "torchcrf", "scikit-learn": "sklearn"}


def imported_packages() -> set[str]:
    """Top-level names of everything that the package imports, lazily or not."""
    names = set()
    for path in (ROOT / "dnaannot").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_dependencies_are_what_is_imported():
    block = re.search(
        r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S
    )
    declared = {MODULE_OF.get(name, name) for name in re.findall(r'"([\w-]+)', block[1])}
    extra = {"h5py", "triton"}  # of the extra `bend`, told where it lacks; of torch for CUDA
    imported = imported_packages() - sys.stdlib_module_names - {"dnaannot"}
    assert imported - extra == declared


@pytest.mark.parametrize("module", ["dnaannot", "dnaannot.cli", "dnaannot.errors"])
def test_import_is_light(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not loaded & {"numpy", "torch", "numba", "pysam", "rich", "safetensors"}


def test_version_is_in_the_changelog():
    changelog = (ROOT / "docs" / "changelog.md").read_text()
    assert re.search(rf"^## {re.escape(dnaannot.__version__)}$", changelog, re.M)
