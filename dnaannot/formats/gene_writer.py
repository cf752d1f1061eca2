"""Gene models as GFF3 or GTF, numbered, in order, one sequence after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import IO

from dnaannot.dna.transcript import Strand, Transcript
from dnaannot.errors import DataError
from dnaannot.formats.gff import Row, cut_attributes, format_name, format_row
from dnaannot.formats.gff_attributes import Dialect


class GeneWriter:
    """Writes gene models as GFF3 or GTF, numbered and in order.

    Every exon is the extent of its CDS, as UTRs are not predicted. In GFF3 the stop codon is
    part of the CDS; in GTF it is a feature of its own and outside of it. A score is a posterior
    probability, '.' where unknown. Genes cut by a sequence end or a gap carry `partial=true` and
    `start_range` (cut at the low coordinate) or `end_range` (at the high one), as NCBI writes.

    Attributes:
        next_number: of the next gene without a name.

    Args:
        stream: text file to write to.
        dialect: "gff3" or "gtf".
        prefix: of gene identifiers; six or more digits follow, and `.t1` in transcripts.
        first_number: of the first gene.
        comments: lines for the head of the file, without their `#`.
    """

    def __init__(
        self,
        stream: IO[str],
        dialect: Dialect = "gff3",
        *,
        prefix: str = "gene",
        first_number: int = 1,
        comments: Sequence[str] = (),
    ) -> None:
        self.next_number = first_number
        self._stream, self._dialect, self._prefix = stream, dialect, prefix
        self._sequence, self._length, self._last_start = "", 0, 0
        if dialect == "gff3":
            stream.write("##gff-version 3\n")
        stream.writelines(f"# {comment}\n" for comment in comments)

    def begin_sequence(self, name: str, length: int) -> None:
        """Turn to the sequence `name` of `length` bases; a sequence is begun once.

        Raises:
            DataError: its lines in GTF would be comments.
        """
        if self._dialect == "gtf" and name.startswith("#"):
            raise DataError(
                f"GTF cannot name the sequence '{name}'.", remedy="Write GFF3, or rename it."
            )
        self._sequence, self._length, self._last_start = name, length, 0
        if self._dialect == "gff3" and length:
            self._stream.write(f"##sequence-region {format_name(self._dialect, name)} 1 {length}\n")

    def write(
        self, transcript: Transcript, attributes: Mapping[str, str] | None = None
    ) -> Transcript:
        """Write one gene with one transcript.

        Args:
            transcript: on the sequence begun last, by ascending start. One that has a name
                already keeps it, and its gene's.
            attributes: more attributes of the gene.

        Returns:
            `transcript` with the `name` and `gene` it was written under.

        Raises:
            ValueError: it is on another sequence, beyond its end or out of order.
        """
        if transcript.sequence != self._sequence or transcript.end > self._length:
            raise ValueError(f"{transcript} is not on {self._sequence} of {self._length} bases")
        if transcript.start < self._last_start:
            raise ValueError(f"{transcript} begins before the gene that was written last")
        self._last_start = transcript.start
        named = transcript if transcript.name else self._number(transcript)
        rows = (_gff3_rows if self._dialect == "gff3" else _gtf_rows)(named, attributes or {})
        self._stream.writelines(
            format_row(self._dialect, named.sequence, named.strand, row) for row in rows
        )
        return named

    def _number(self, transcript: Transcript) -> Transcript:
        gene = f"{self._prefix}{self.next_number:06d}"
        self.next_number += 1
        return replace(transcript, gene=gene, name=f"{gene}.t1")


def _gff3_rows(transcript: Transcript, more: Mapping[str, str]) -> Iterator[Row]:
    gene, name = transcript.gene or transcript.name, transcript.name
    span = (transcript.start, transcript.end, transcript.score, ".")
    shared = _model_attributes(transcript)
    yield Row("gene", *span, {"ID": gene, **shared, **more})
    yield Row("mRNA", *span, {"ID": name, "Parent": gene, **shared})
    for number, exon in enumerate(transcript.exons, start=1):
        start, end, phase, score = exon
        cut = _cut(transcript, start, end)
        exon_attributes = {"ID": f"{name}.exon{number}", "Parent": name, **cut}
        yield Row("exon", start, end, score, ".", exon_attributes)
        yield Row(
            "CDS", start, end, score, str(phase), {"ID": f"{name}.cds", "Parent": name, **cut}
        )


def _gtf_rows(transcript: Transcript, more: Mapping[str, str]) -> Iterator[Row]:
    gene = {"gene_id": transcript.gene or transcript.name}
    owner = {**gene, "transcript_id": transcript.name}
    span = (transcript.start, transcript.end, transcript.score, ".")
    shared = _model_attributes(transcript)
    yield Row("gene", *span, {**gene, **shared, **more})
    yield Row("transcript", *span, {**owner, **shared})
    length = transcript.coding_bases
    coding = length - 3 if transcript.has_stop else length
    rows = [Row("exon", start, end, score, ".", owner) for start, end, _, score in transcript.exons]
    rows += _spliced_rows(transcript, "CDS", 0, coding, owner)
    if transcript.has_start:
        rows += _spliced_rows(transcript, "start_codon", 0, 3, owner)
    rows += _spliced_rows(transcript, "stop_codon", coding, length, owner)
    yield from sorted(rows, key=lambda row: row.start)


def _spliced_rows(
    transcript: Transcript, kind: str, first: int, last: int, owner: Mapping[str, str]
) -> Iterator[Row]:
    """Rows of the bases first to last (half-open) of the CDS, counted 5' to 3'."""
    is_plus = transcript.strand is Strand.PLUS
    position = 0
    for start, end, phase, score in transcript.exons if is_plus else transcript.exons[::-1]:
        low, high = max(first - position, 0), min(last - position, end - start)
        position += end - start
        if low < high:
            where = (start + low, start + high) if is_plus else (end - high, end - low)
            yield Row(kind, *where, score, str((phase - low) % 3), owner)


def _model_attributes(transcript: Transcript) -> dict[str, str | tuple[str, ...]]:
    cut = _cut(transcript, transcript.start, transcript.end)
    if math.isnan(transcript.score):
        return cut
    return {"posterior": f"{transcript.score:.4f}", **cut}


def _cut(transcript: Transcript, start: int, end: int) -> dict[str, str | tuple[str, ...]]:
    """Attributes that tell which ends of the feature from `start` to `end` are cut."""
    low, high = transcript.cut_ends
    return cut_attributes(
        start, end, low=low and start == transcript.start, high=high and end == transcript.end
    )
