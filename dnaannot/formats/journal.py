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
from dnaannot.errors import InputFormatError
from dnaannot.formats.output import output_error


def digest(codes: np.ndarray) -> str:
    """Fingerprint of the bases in codes (L,), whether gaps are marked or not."""
    return hashlib.blake2b(np.minimum(codes, N).tobytes(), digest_size=16).hexdigest()


class Journal:
    """What a run has finished, kept beside its output until that is complete.

    Args:
        path: of the journal; it is created, or read if it is there.
        run: facts that must be the same for its results to be used again.

    Raises:
        InputFormatError: if the journal belongs to a run with other facts, or is no journal.
        OutputError: if it cannot be written.
    """

    def __init__(self, path: str | Path, run: dict[str, Any]) -> None:
        self.path = Path(path)
        self._run = json.loads(json.dumps(run))
        self._finished: dict[str, dict[str, Any]] = {}
        complete = self._read() if self.path.exists() else 0
        try:
            self._stream = open(self.path, "r+b" if complete else "wb")  # noqa: SIM115
            self._stream.truncate(complete)
            self._stream.seek(complete)
        except OSError as error:
            raise output_error(self.path, error) from error
        if not complete:
            self._append({"run": self._run})

    def _read(self) -> int:
        """Take in the whole lines; returns where they end (a cut last line is dropped)."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise output_error(self.path, error) from error
        end = content.rfind(b"\n") + 1
        try:
            entries = [json.loads(line) for line in content[:end].splitlines()]
            known = entries[0]["run"] if entries else self._run
            self._finished = {entry["sequence"]: entry for entry in entries[1:]}
            is_journal = end > 0 or b'{"run": '.startswith(content[:8])
        except (ValueError, KeyError, TypeError):
            is_journal = False
        if not is_journal:
            raise InputFormatError(
                "is no journal of dnaannot.",
                path=self.path,
                remedy="Choose another output: its journal would be written here.",
            )
        if known != self._run:
            raise InputFormatError(
                "belongs to a run with other options or another model.",
                path=self.path,
                remedy="Run the same command as before, or delete the journal to begin anew.",
            )
        return end

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
        """Close it; delete it where the run is done."""
        self._stream.close()
        if done:
            self.path.unlink(missing_ok=True)


def _transcript(sequence: str, fields: dict[str, Any]) -> Transcript:
    return Transcript(
        sequence,
        Strand(fields["strand"]),
        tuple(Exon(*exon) for exon in fields["exons"]),
        has_start=fields["has_start"],
        has_stop=fields["has_stop"],
        score=fields["score"],
    )
