"""Settings of `dnaannot genes`, and whether they go together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnaannot.cli.files import check_files

if TYPE_CHECKING:
    from dnaannot.dna.transcript import Transcript
    from dnaannot.formats.gff_attributes import Dialect

_WINDOW = 150_000
_BREAKS_IDENTIFIERS = re.compile(r"""[\s;=,%&>"]""")
_OF_OTHERS = {".bed", ".fa", ".fasta", ".fna", ".faa", ".gb", ".gbk", ".embl", ".bw", ".tsv"}


@dataclass(frozen=True)
class GenesSettings:
    """What the command line of `dnaannot genes` says; see its help."""

    genomes: tuple[str, ...]
    output: str
    dialect: Dialect | None
    model: str | None
    proteins: str | None
    cds: str | None
    regions: str | None
    excluded: tuple[str, ...]
    min_score: float
    min_cds: int | None
    complete: bool
    min_gap: int | None
    id_prefix: str
    scores: str | None
    both_strands: bool
    precision: str
    resume: bool
    device: str
    threads: int
    window: int | None
    batch_size: int | None
    quiet: bool

    @property
    def outputs(self) -> list[str]:
        """Files to write, standard output among them."""
        return [path for path in (self.output, self.proteins, self.cds) if path is not None]

    @property
    def inputs(self) -> list[str]:
        """Files to read."""
        return [*self.genomes, *(path for path in (self.regions, self.model) if path)]

    @property
    def ahead(self) -> int:
        """Bases scored ahead of the decoder, 0 to leave it to the scorer."""
        if self.batch_size:
            return self.batch_size * (self.window or _WINDOW)
        return self.window or 0

    @property
    def filters(self) -> str:
        """The options that change what is found, as they are written; "" for none."""
        regions = self.regions
        if regions and Path(regions).is_file():
            regions = Path(regions).name
        flags = {
            "--both-strands": self.both_strands,
            "--complete": self.complete,
            "--min-score": self.min_score,
            "--min-cds": self.min_cds,
            "--min-gap": self.min_gap,
            "--regions": regions,
        }
        said = [
            name if value is True else f"{name} {value}" for name, value in flags.items() if value
        ]
        return " ".join([*said, *(f"--exclude {name}" for name in self.excluded)])

    def keeps(self, transcript: Transcript) -> bool:
        """Whether a gene model is to be written."""
        return (
            transcript.score >= self.min_score
            and transcript.coding_bases >= (self.min_cds or 0)
            and not (self.complete and transcript.is_partial)
        )

    def check(self) -> None:
        """Refuse at once what would fail after hours.

        Raises:
            UsageError: options do not go together.
            OutputError: an output cannot be written.
        """
        if len(set(self.genomes)) < len(self.genomes):
            raise click.UsageError("a GENOME is given twice.")
        if _BREAKS_IDENTIFIERS.search(self.id_prefix):
            raise click.UsageError('--id-prefix may hold no blank and none of ; = , % & > ".')
        check_files(
            {"--output": self.output, "--proteins": self.proteins, "--cds": self.cds}, self.inputs
        )
        ending = Path(self.output.removesuffix(".gz")).suffix.lower()
        if self.dialect is None and ending in _OF_OTHERS:
            raise click.UsageError(
                f"a file of gene models in GFF3 would be named {ending}. Name it .gff3 or .gtf, or "
                "give --format."
            )
        if self.resume and (self.output == "-" or self.regions or self.scores):
            raise click.UsageError(
                "--resume needs a file as --output and goes without --regions and --scores."
            )
