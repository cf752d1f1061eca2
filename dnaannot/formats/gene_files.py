"""The files of one run: gene models, and beside them proteins and coding sequences."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np

from dnaannot.dna.transcript import Transcript
from dnaannot.formats.fasta import write_cds, write_protein
from dnaannot.formats.gene_writer import GeneWriter
from dnaannot.formats.gff_attributes import Dialect
from dnaannot.formats.output import atomic_output

WriteRecord = Callable[[IO[str], Transcript, np.ndarray], None]


@dataclass(frozen=True)
class GeneFiles:
    """Open files of a run; see `gene_files`.

    Attributes:
        models: of the gene models.
        writer: writes to it.
        extras: other files, each with what writes a transcript to it.
    """

    models: IO[str]
    writer: GeneWriter
    extras: Sequence[tuple[IO[str], WriteRecord]]

    def begin_sequence(self, name: str, length: int) -> None:
        """Turn to the next sequence."""
        self.writer.begin_sequence(name, length)

    def write(self, transcript: Transcript, codes: np.ndarray) -> None:
        """Write one gene.

        Args:
            codes: (L,) of the whole sequence that it lies on.
        """
        named = self.writer.write(transcript)
        for stream, write in self.extras:
            write(stream, named, codes)

    def flush(self) -> None:
        """Hand all that is held in memory to the disk, so that a full one is noticed.

        Raises:
            OutputError: if it is full.
        """
        for stream in (self.models, *(stream for stream, _ in self.extras)):
            stream.flush()


@contextlib.contextmanager
def gene_files(
    output: str,
    dialect: Dialect | None = None,
    *,
    proteins: str | None = None,
    cds: str | None = None,
    prefix: str = "gene",
    comments: Sequence[str] = (),
) -> Iterator[GeneFiles]:
    """The files of a run, `-` for standard output; all appear when the block ends, or none.

    Args:
        output: of the gene models; bgzipped and tabix-indexed where its name ends in .gz.
        dialect: by default what the name of `output` says, else GFF3.
        proteins, cds: of the FASTA files, None for none.
        prefix: of gene identifiers.
        comments: lines for the head of the gene models, without their `#`.

    Raises:
        OutputError: if a file cannot be written.
    """
    wanted: list[tuple[str | None, WriteRecord]] = [(proteins, write_protein), (cds, write_cds)]
    with contextlib.ExitStack() as stack:
        extras = [
            (stack.enter_context(atomic_output(path)), write) for path, write in wanted if path
        ]
        # put in place before the others, as its index can still fail then
        models = stack.enter_context(atomic_output(output, tabix="gff"))
        writer = GeneWriter(models, dialect or dialect_of(output), prefix=prefix, comments=comments)
        files = GeneFiles(models, writer, extras)
        yield files
        files.flush()


def dialect_of(path: str) -> Dialect:
    """What the name of a file says: GTF where it ends in .gtf or .gtf.gz, else GFF3."""
    return "gtf" if path.removesuffix(".gz").endswith(".gtf") else "gff3"
