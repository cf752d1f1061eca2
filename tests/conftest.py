"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import settings

from dnaannot.cli import main

if TYPE_CHECKING:
    import numpy as np
    import torch

    from dnaannot.dna.grammar import Grammar
    from dnaannot.nn.model import GeneModel
    from dnaannot.nn.tracks import TrackModel

ROOT = Path(__file__).resolve().parents[1]

if not Path("/dev/nvidia0").exists():  # read when Triton is imported
    os.environ.setdefault("TRITON_INTERPRET", "1")

settings.register_profile("whatever the machine does beside", deadline=None)
settings.load_profile("whatever the machine does beside")


class Finished(NamedTuple):
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def kernel_device(monkeypatch: pytest.MonkeyPatch) -> str:
    """Where Triton's kernels run: on a GPU, or on the CPU in Triton's interpreter."""
    pytest.importorskip("triton")
    import torch

    from dnaannot.nn import crf_cuda

    if torch.cuda.is_available():
        return "cuda"
    monkeypatch.setattr(crf_cuda, "is_available", lambda device: True)
    return "cpu"


@pytest.fixture
def transformed(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Weights of residual layers that were transformed for inference, in order."""
    from dnaannot.nn import residual

    made: list[torch.Tensor] = []
    transform = residual._transformed

    def counted(weight: torch.Tensor, dtype: torch.dtype) -> object:
        made.append(weight)
        return transform(weight, dtype)

    monkeypatch.setattr(residual, "_transformed", counted)
    return made


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of small real sequences and annotations."""
    return ROOT / "test_data"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run `dnaannot` with these arguments in this process, as the console script does."""

    def run_main(*arguments: object) -> Finished:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Finished(int(ended.value.code or 0), *capfd.readouterr())

    return run_main


@pytest.fixture
def piped() -> Iterator[Callable[[str], str]]:
    """Makes a pipe of some text, as a shell's `<(command)` does; its path can be read once."""
    ends = []

    def make(text: str) -> str:
        end, writer = os.pipe()
        ends.append(end)
        with os.fdopen(writer, "w") as stream:
            stream.write(text)
        return f"/dev/fd/{end}"

    yield make
    for end in ends:
        os.close(end)


@pytest.fixture(scope="session")
def tiny_model() -> GeneModel:
    """A model that has learned nothing but finds many genes with introns on both strands."""
    import torch

    from dnaannot.dna.grammar import LABELS
    from dnaannot.nn.encoder import PRESETS
    from dnaannot.nn.model import GeneModel

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        model = GeneModel(PRESETS["tiny"]).eval()
        head = model.head.linear
        head.weight.mul_(8)
        head.bias.zero_()
        head.bias -= model(torch.randint(0, 4, (1, 9000)))[0].mean(0)
        head.bias[[name.startswith("intron") for name in LABELS]] += 0.1
        for number, (_, label) in enumerate(model.grammar.pairs):
            model.pair_weights[number] = {"donor+": -2.0, "start+": -1.0}.get(label, 0.0)
    return model


@pytest.fixture(scope="session")
def tiny_model_file(tiny_model: GeneModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of `tiny_model`."""
    from dnaannot.nn.checkpoint import model_bytes

    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    path.write_bytes(model_bytes(tiny_model, {"species": ["Nullius generis"]}))
    return path


@pytest.fixture(scope="session")
def fly_codes(test_data: Path) -> np.ndarray:
    """Codes (200,000,) of a stretch of the fly genome."""
    from dnaannot.formats.fasta import read_fasta

    return next(read_fasta(test_data / "fly_chr2L_200kb.fa.gz")).codes


@pytest.fixture(scope="session")
def grid_model() -> TrackModel:
    """A track model that has learned nothing, with three labels of two tasks on a grid."""
    return _track_model(
        "grid",
        ("accessibility", "dnase__k562"),
        ("accessibility", "dnase__liver"),
        ("ctcf", "ctcf__k562"),
    )


@pytest.fixture(scope="session")
def cpg_model() -> TrackModel:
    """A track model that has learned nothing, of methylation at CpGs."""
    return _track_model("cpg", ("methylation", "imr90", "binary", 2.0, -0.5))


def _track_model(sites: str, *labels: tuple) -> TrackModel:
    import torch

    from dnaannot.nn.encoder import PRESETS
    from dnaannot.nn.tracks import TrackLabel, TrackModel

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        model = TrackModel(PRESETS["tiny"], len(labels), sites=sites).eval()
        model.tracks = tuple(TrackLabel(*label) for label in labels)
        model.head.linear.weight.mul_(10)
        cells = model(torch.randint(0, 4, (1, 900)))[0]
        model.head.linear.bias -= cells[:, : 2 * len(labels)].mean(0)
        torch.nn.init.normal_(model.motifs.of_best.weight, std=0.1)
    return model


@pytest.fixture(scope="session")
def track_model_files(
    grid_model: TrackModel, cpg_model: TrackModel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The files of `grid_model` and `cpg_model`, by "grid" and "cpg"."""
    from dnaannot.nn.checkpoint import model_bytes

    folder = tmp_path_factory.mktemp("track models")
    files = {}
    for name, model in (("grid", grid_model), ("cpg", cpg_model)):
        files[name] = folder / f"{name}.safetensors"
        files[name].write_bytes(model_bytes(model, {"species": ["Nullius generis"]}))
    return files


@pytest.fixture(scope="session")
def accepts() -> Callable[..., bool]:
    """Whether a grammar spells labels (L,) by some state path over codes (L,), whole sequences.

    A plain set-of-states walk.
    """
    return _accepts


def _accepts(grammar: Grammar, labels: np.ndarray, codes: np.ndarray) -> bool:
    import numpy as np

    from dnaannot.dna.grammar import GAP_AFTER, GAP_FIRST, position_words

    words = position_words(codes)
    label_of_state = grammar.label_of_state
    inside = grammar.jump_bases
    alive = grammar.begins & ((words[0] & grammar.begin_rule) != 0) & (label_of_state == labels[0])
    history = [alive]
    for position in range(1, len(labels)):
        before, alive = history[-1], np.zeros(len(grammar.states), bool)
        word = words[position]
        usable = before[grammar.edges[:, 0]] & ((word & grammar.edge_rule) != 0)
        alive[grammar.edges[usable, 1]] = True
        if word & GAP_AFTER and before[0]:
            alive |= grammar.opens & ((word & grammar.begin_rule) != 0)
        if word & GAP_FIRST and before[0]:
            alive |= grammar.emerges
        if (word & GAP_FIRST and (before & grammar.closes).any()) or (
            word & GAP_AFTER and (before & grammar.spans).any()
        ):
            alive[0] = True
        for donor, intron in grammar.jumps:
            origin = position - inside
            if origin >= 0 and history[origin][donor]:
                skipped = labels[origin + 1 : position + 1]
                alive[intron] |= bool((skipped == label_of_state[intron]).all())
        alive &= label_of_state == labels[position]
        history.append(alive)
    for donor, intron in grammar.jumps:
        for origin in range(max(0, len(labels) - inside), len(labels) - 1):
            if history[origin][donor] and (labels[origin + 1 :] == label_of_state[intron]).all():
                return True
    return bool((history[-1] & grammar.ends).any())
