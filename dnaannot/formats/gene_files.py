"""The files of one run: gene models, and beside them proteins and coding sequences."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import IO

import numpy as np

from dnaannot.dna.transcript import Transcript
from dnaannot.formats.fasta import write_cds, write_protein
from dnaannot.formats.gene_writer import GeneWriter
from dnaannot.formats.gff import Dialect
from dnaannot.formats.output import atomic_output

_WriteRecord = Callable[[IO[str], Transcript, np.ndarray], None]


class GeneFiles(contextlib.ExitStack):
    """Writes genes to all files of a run, which appear together when the block ends well.

    Args:
        output: of the gene models; bgzipped and tabix-indexed where its name ends in .gz.
        dialect: "gff3" or "gtf"; by default what the name of `output` says, else GFF3.
        proteins, cds: of the FASTA files, None for none.
        prefix: of gene identifiers.
        comments: lines for the head of the gene models, without their `#`.

    Raises:
        OutputError: if a file cannot be written.
    """

    def __init__(
        self,
        output: str,
        dialect: Dialect | None = None,
        *,
        proteins: str | None = None,
        cds: str | None = None,
        prefix: str = "gene",
        comments: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._output, self._dialect = output, dialect or dialect_of(output)
        self._proteins, self._cds = proteins, cds
        self._prefix, self._comments = prefix, comments
        self._extras: list[tuple[IO[str], _WriteRecord]] = []

    def __enter__(self) -> GeneFiles:
        try:
            stream = self.enter_context(atomic_output(self._output, tabix="gff"))
            for path, write in ((self._proteins, write_protein), (self._cds, write_cds)):
                if path:
                    self._extras.append((self.enter_context(atomic_output(path)), write))
        except BaseException:
            self.close()
            raise
        self._writer = GeneWriter(
            stream, self._dialect, prefix=self._prefix, comments=self._comments
        )
        return self

    def begin_sequence(self, name: str, length: int) -> None:
        """Turn to the next sequence."""
        self._writer.begin_sequence(name, length)

    def write(self, transcript: Transcript, codes: np.ndarray) -> None:
        """Write one gene.

        Args:
            codes: (L,) of the whole sequence that it lies on.
        """
        named = self._writer.write(transcript)
        for stream, write in self._extras:
            write(stream, named, codes)


def dialect_of(path: str) -> Dialect:
    """What the name of a file says: GTF where it ends in .gtf or .gtf.gz, else GFF3."""
    return "gtf" if path.removesuffix(".gz").endswith(".gtf") else "gff3"
