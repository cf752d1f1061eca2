from __future__ import annotations

import pytest

from dnaannot import catalog
from dnaannot.catalog import Entry
from dnaannot.errors import DataError, ModelError
from dnaannot.nn.checkpoint import read_facts
from dnaannot.nn.tracks import TrackLabel
from dnaannot.predict import choice
from dnaannot.predict.track_choice import candidates, choose_labels

LABELS = [
    TrackLabel("accessibility", "dnase__k562"),
    TrackLabel("ctcf", "ctcf__k562"),
    TrackLabel("accessibility", "dnase__Liver"),
    TrackLabel("accessibility", "k562"),
]


@pytest.mark.parametrize(
    ("task", "wanted", "expected"),
    [
        (None, [], [0, 1, 2, 3]),
        ("accessibility", [], [0, 2, 3]),
        ("accessibility", ["liver"], [2]),
        ("accessibility", ["DNASE__LIVER", "dnase__k562"], [0, 2]),
        ("ctcf", ["k562"], [1]),
        ("accessibility", ["k562"], [3]),  # a whole name goes before a part of one
        ("accessibility", ["dnase"], [0, 2]),
        (None, ["dnase", "dnase__k562"], [0, 2]),
    ],
)
def test_labels_by_name_or_part(task, wanted, expected):
    assert choose_labels(LABELS, task, wanted) == expected


@pytest.mark.parametrize("name", ["nonsense", "ctcf__k562", "liv"])
def test_a_label_that_is_not_there(name):
    with pytest.raises(DataError, match=f"'{name}'.*dnase__k562, dnase__Liver, k562"):
        choose_labels(LABELS, "accessibility", [name])


@pytest.fixture
def bundle(track_model_files, tiny_model_file, monkeypatch):
    files = {**track_model_files, "genes": tiny_model_file, "another": track_model_files["grid"]}
    entries = [Entry(name, files[name], read_facts(files[name])) for name in sorted(files)]
    monkeypatch.setattr(
        catalog, "bundled", lambda task=None: [e for e in entries if task in (None, *e.tasks)]
    )
    return {entry.name: entry for entry in entries}


def test_models_tell_their_tasks(bundle):
    assert bundle["grid"].tasks == ["accessibility", "ctcf"]
    assert bundle["cpg"].tasks == ["methylation"]
    assert bundle["genes"].tasks == ["genes"]


def test_all_that_serve_the_task_or_the_one_asked_for(bundle):
    def names(*arguments):
        return [entry.name for entry in candidates(*arguments)]

    assert names("ctcf", None) == ["another", "grid"]
    assert names("methylation", None) == ["cpg"]
    assert names("ctcf", "grid") == ["grid"]
    assert names(None, "cpg") == ["cpg"]
    assert names("methylation", str(bundle["cpg"].path)) == ["cpg"]


@pytest.mark.parametrize(
    ("task", "model", "message"),
    [
        ("histone", None, "no bundled model is for histone.*dnaannot train tracks"),
        ("histone", "grid", "accessibility and ctcf, not for histone"),
        ("histone", "genes", "for 'genes', not for tracks"),
        ("histone", "nonsense", "no model named 'nonsense'"),
    ],
)
def test_models_that_do_not_serve_it(bundle, task, model, message):
    with pytest.raises(ModelError, match=message):
        candidates(task, model)


def test_genes_are_not_predicted_with_track_models(bundle):
    choices = choice.choose(list(bundle.values()), [])
    assert [one.entry.name for one in choices] == ["genes"]
