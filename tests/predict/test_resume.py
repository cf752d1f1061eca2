from __future__ import annotations

import pytest

from dnaannot.errors import InputFormatError, OutputError
from dnaannot.formats.journal import Journal, digest
from dnaannot.predict.genes import GenePredictor
from dnaannot.predict.resume import resumed
from dnaannot.predict.scorer import Compute

RUN = {"model": {"name": "tiny"}, "min_gap": 50, "both_strands": False}


@pytest.fixture(scope="module")
def predictor(tiny_model):
    return GenePredictor(tiny_model, Compute())


@pytest.fixture(scope="module")
def sequences(fly_codes):
    lengths = (3_000, 4_000, 20_000, 2_000, 1_000, 25_000, 3_000)
    return [(f"s{i}", fly_codes[i * 10_000 :][:n]) for i, n in enumerate(lengths)]


@pytest.fixture(scope="module")
def expected(predictor, sequences):
    return [(g.name, list(g.transcripts)) for g in predictor.predict(sequences)]


def consumed(results):
    return [(genes.name, list(genes.transcripts)) for genes in results]


@pytest.mark.parametrize("interrupted_after", [0, 1, 3, 6, 7])
def test_an_interrupted_run_goes_on(predictor, sequences, expected, tmp_path, interrupted_after):
    path = tmp_path / "journal"
    journal = Journal(path, RUN)
    results = resumed(predictor.predict, sequences, journal)
    assert (
        consumed(next(results) for _ in range(interrupted_after)) == (expected[:interrupted_after])
    )
    results.close()
    journal.close(done=False)

    asked = []

    def predict(missing):
        return predictor.predict(asked.append(name) or (name, codes) for name, codes in missing)

    journal = Journal(path, RUN)
    assert consumed(resumed(predict, sequences, journal)) == expected
    journal.close(done=True)
    assert asked == [name for name, _ in sequences[interrupted_after:]]
    assert not path.exists()


def test_known_and_missing_sequences_keep_their_order(predictor, sequences, expected, tmp_path):
    journal = Journal(tmp_path / "journal", RUN)
    for number in (1, 2, 5):
        journal.add(*sequences[number], expected[number][1])
    journal.close(done=False)
    journal = Journal(tmp_path / "journal", RUN)
    assert consumed(resumed(predictor.predict, sequences, journal)) == expected
    journal.close(done=True)


def test_a_cut_last_line_is_dropped(predictor, sequences, expected, tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path, RUN)
    consumed(resumed(predictor.predict, sequences[:3], journal))
    journal.close(done=False)
    whole = path.read_bytes()
    for cut in (len(whole) - 1, len(whole) - 200, 30):
        path.write_bytes(whole[:cut])
        journal = Journal(path, RUN)
        assert consumed(resumed(predictor.predict, sequences[:3], journal)) == expected[:3]
        journal.close(done=False)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("damaged", [1, 2, 3])
def test_a_damaged_line_costs_its_own_sequence(sequences, expected, tmp_path, damaged):
    path = tmp_path / "journal"
    journal = Journal(path, RUN)
    for given, (_, genes) in zip(sequences[:3], expected, strict=False):
        journal.add(*given, genes)
    journal.close(done=False)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[damaged] = lines[damaged][:40] + lines[1][:30] + b"\0\xff\n"
    path.write_bytes(b"".join(lines))
    journal = Journal(path, RUN)
    found = [journal.get(*given) for given in sequences[:3]]
    wanted = [genes for _, genes in expected[:3]]
    wanted[damaged - 1] = None
    assert found == wanted
    journal.add(*sequences[damaged - 1], expected[damaged - 1][1])
    journal.close(done=False)
    journal = Journal(path, RUN)
    assert [journal.get(*given) for given in sequences[:3]] == [g for _, g in expected[:3]]
    journal.close(done=True)


def test_one_run_at_a_time_has_the_journal(sequences, expected, tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path, RUN)
    with pytest.raises(OutputError, match="another run is writing this journal"):
        Journal(path, RUN)
    journal.add(*sequences[0], expected[0][1])
    journal.close(done=False)
    journal = Journal(path, RUN)
    assert journal.get(*sequences[0]) == expected[0][1]
    journal.close(done=True)
    assert not path.exists()


def test_a_changed_sequence_is_predicted_again(sequences, expected, tmp_path):
    journal = Journal(tmp_path / "journal", RUN)
    name, codes = sequences[0]
    journal.add(name, codes, expected[0][1])
    journal.close(done=False)
    journal = Journal(tmp_path / "journal", RUN)
    assert journal.get(name, codes) == expected[0][1]
    assert journal.get(name, codes[:-1]) is None
    assert journal.get("other", codes) is None
    journal.close(done=False)


def test_gaps_marked_or_not_are_the_same_bases(fly_codes):
    codes = fly_codes[:100].copy()
    codes[20:30] = 4
    marked = codes.copy()
    marked[20:30] = 5
    assert digest(marked) == digest(codes)
    assert digest(codes) != digest(fly_codes[:100])


def test_journals_of_other_runs_and_other_files_are_refused(tmp_path):
    path = tmp_path / "journal"
    Journal(path, RUN).close(done=False)
    with pytest.raises(InputFormatError, match="other options or another model"):
        Journal(path, {**RUN, "min_gap": 60})
    for content in ("##gff-version 3\n", "my notes", '{"a": 1}\n', "[]\n", '{"run": {}}\n{}\n'):
        path.write_text(content)
        with pytest.raises(InputFormatError, match="journal"):
            Journal(path, RUN)
        assert path.read_text() == content
