"""Journal of an interrupted run: the genes of each finished sequence, one JSON line each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dnaannot.dna.sequence import N
from dnaannot.dna.transcript import Exon, Strand, Transcript
from dnaannot.errors import InputFormatError, OutputError
from dnaannot.formats.output import output_error

_KEYS = {"sequence", "digest", "genes"}


def digest(codes: np.ndarray) -> str:
    """Fingerprint of the bases in codes (L,), whether gaps are marked or not."""
    return hashlib.blake2b(np.minimum(codes, N).tobytes(), digest_size=16).hexdigest()


class Journal:
    """What a run has finished, kept beside its output until that is complete.

    One run at a time has it: the others are refused until `close`, or the end of the process.

    Args:
        path: of the journal; it is created, or read if it is there.
        run: facts that must be the same for its results to be used again.

    Attributes:
        is_locked: it is certain that no other run has it; False where the file system knows no
            locks.

    Raises:
        InputFormatError: if the journal belongs to a run with other facts, or is no journal.
        OutputError: if it cannot be written, or another run is writing it.
    """

    def __init__(self, path: str | Path, run: dict[str, Any]) -> None:
        self.path = Path(path)
        self._run = json.loads(json.dumps(run))
        self.is_locked = False
        try:
            self._stream = open(self.path, "a+b")  # noqa: SIM115
        except OSError as error:
            raise output_error(self.path, error) from error
        try:
            self._lock()
            self._finished = self._take_up()
        except BaseException:
            self._stream.close()
            raise

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # not a Unix
            return
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.is_locked = True
        except BlockingIOError as error:
            raise OutputError(
                "another run is writing this journal.",
                path=self.path,
                remedy="Wait until it ends, or choose another output.",
            ) from error
        except OSError:  # a file system that knows no locks
            return

    def _take_up(self) -> dict[str, dict[str, Any]]:
        """What the lines tell, by sequence, but damaged ones; a cut last line is cut off."""
        try:
            self._stream.seek(0)
            content = self._stream.read()
            whole = content[: content.rfind(b"\n") + 1]
            head, *entries = [_entry(line) for line in whole.splitlines()] or [{}]
            self._check(head, is_begun=not whole and b'{"run": '.startswith(content[:8]))
            self._stream.truncate(len(whole))
        except OSError as error:
            raise output_error(self.path, error) from error
        if not whole:
            self._append({"run": self._run})
        return {entry["sequence"]: entry for entry in entries if entry.keys() >= _KEYS}

    def _check(self, head: dict[str, Any], *, is_begun: bool) -> None:
        """Refuse a file that does not begin as the journal of this run does."""
        if "run" not in head and not is_begun:
            raise InputFormatError(
                "is no journal of dnaannot.",
                path=self.path,
                remedy="Choose another output: its journal would be written here.",
            )
        if head.get("run", self._run) != self._run:
            raise InputFormatError(
                "belongs to a run with other options or another model.",
                path=self.path,
                remedy="Run the same command as before, or delete the journal to begin anew.",
            )

    def get(self, sequence: str, codes: np.ndarray) -> list[Transcript] | None:
        """The genes of a finished sequence, None where it is not finished or has changed."""
        entry = self._finished.get(sequence)
        if entry is None or entry["digest"] != digest(codes):
            return None
        return [_transcript(sequence, fields) for fields in entry["genes"]]

    def add(self, sequence: str, codes: np.ndarray, transcripts: Iterable[Transcript]) -> None:
        """Note that a sequence is finished."""
        genes = [
            {
                "strand": t.strand.value,
                "exons": [tuple(exon) for exon in t.exons],
                "has_start": t.has_start,
                "has_stop": t.has_stop,
                "score": t.score,
            }
            for t in transcripts
        ]
        self._append({"sequence": sequence, "digest": digest(codes), "genes": genes})

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(entry).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise output_error(self.path, error) from error

    def close(self, *, done: bool) -> None:
        """Leave it to the next run, or delete it where this one is done."""
        if done:
            self.path.unlink(missing_ok=True)
        self._stream.close()


def _entry(line: bytes) -> dict[str, Any]:
    """What a line tells; nothing where it is damaged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _transcript(sequence: str, fields: dict[str, Any]) -> Transcript:
    return Transcript(
        sequence,
        Strand(fields["strand"]),
        tuple(Exon(*exon) for exon in fields["exons"]),
        has_start=fields["has_start"],
        has_stop=fields["has_stop"],
        score=fields["score"],
    )
