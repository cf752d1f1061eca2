from __future__ import annotations

import tracemalloc

import numpy as np
import pyBigWig
import pytest

from dnaannot.dna.grammar import LABELS
from dnaannot.errors import OutputError
from dnaannot.formats import score_tracks
from dnaannot.formats.score_tracks import LEAST, TRACKS, ScoreTracks

SIZES = {"a": 4_000, "empty": 50, "b": 3_000}


def scattered(n, seed=0):
    """Posteriors (n, 17), half of them below what is kept."""
    random = np.random.default_rng(seed)
    values = random.random((n, len(LABELS)), np.float32)
    return np.where(random.random((n, 1)) < 0.5, values / 20, LEAST / 100).astype(np.float32)


@pytest.fixture
def tracks(tmp_path):
    """Takes posteriors for a folder that is not there yet."""
    made = ScoreTracks(tmp_path / "scores")
    yield made
    made.close(done=True)


def test_what_is_read_back_is_what_was_added(tracks):
    for sequence, start, n in (("a", 0, 1_000), ("a", 1_500, 2_500), ("b", 10, 2_000)):
        tracks.add(sequence, start, scattered(n, seed=start))
    tracks.write(SIZES)
    for name, labels in TRACKS.items():
        with pyBigWig.open(str(tracks.folder / f"{name}.bw")) as file:
            assert file.chroms() == SIZES
            found = file.values("a", 1_500, 4_000, numpy=True)
        wanted = scattered(2_500, seed=1_500)[:, [LABELS.index(each) for each in labels]].sum(1)
        np.testing.assert_allclose(found, np.where(wanted < LEAST, np.nan, wanted), rtol=1e-3)


def test_memory_does_not_grow_with_the_genome(tracks):
    posteriors = scattered(2_000)
    tracks.add("a", 0, posteriors)
    tracemalloc.start()
    for start in range(2_000, 8_000, 2_000):
        tracks.add("a", start, posteriors)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 200_000


def test_a_failure_leaves_the_files_of_an_earlier_run(tracks, monkeypatch):
    tracks.add("a", 0, scattered(1_000))
    tracks.write(SIZES)
    before = {path.name: path.read_bytes() for path in tracks.folder.iterdir()}
    write_bigwig, written = score_tracks.write_bigwig, []

    def full(path, *arguments):
        if len(written) == 3:
            raise OutputError("No space left on device", path=path)
        written.append(path)
        write_bigwig(path, *arguments)

    monkeypatch.setattr(score_tracks, "write_bigwig", full)
    again = ScoreTracks(tracks.folder)
    again.add("a", 0, scattered(1_000, seed=1))
    with pytest.raises(OutputError, match="No space left"):
        again.write(SIZES)
    again.close(done=False)
    assert {path.name: path.read_bytes() for path in tracks.folder.iterdir()} == before
