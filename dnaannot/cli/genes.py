"""`dnaannot genes`: gene models of genomes."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from dnaannot.cli.console import Console, amount, duration
from dnaannot.cli.options import BasePairs, compute_options

if TYPE_CHECKING:
    import numpy as np

    from dnaannot.catalog import Entry
    from dnaannot.dna.interval import Interval
    from dnaannot.dna.transcript import Transcript
    from dnaannot.formats.journal import Journal
    from dnaannot.predict.genes import GenePredictor, Genes
    from dnaannot.predict.scorer import Compute

_SAMPLED_BASES = 20_000_000
_WINDOW = 150_000


@click.command()
@click.argument("genomes", nargs=-1, required=True, metavar="GENOME...")
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="Gene models; - for standard output."
)
@click.option(
    "--format",
    "dialect",
    type=click.Choice(["gff3", "gtf"]),
    help="Format of the gene models.  [default: gtf if FILE is named .gtf, else gff3]",
)
@click.option("--model", metavar="NAME|PATH", help="Model to use.  [default: the best fitting]")
@click.option("--proteins", metavar="FILE", help="Also write the proteins as FASTA.")
@click.option("--cds", metavar="FILE", help="Also write the coding sequences as FASTA.")
@click.option("--regions", metavar="BED", help="Only genes that overlap these regions.")
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Leave out genes of a lower posterior probability.",
)
@click.option(
    "--min-gap",
    type=BasePairs(),
    default=50,
    show_default=True,
    help="Runs of at least so many N are gaps: introns may span them, exons may not.",
)
@click.option(
    "--id-prefix", default="gene", show_default=True, help="Of gene identifiers, before a number."
)
@click.option(
    "--scores", metavar="DIR", help="Also write label posteriors as bigWig files in this folder."
)
@click.option(
    "--both-strands",
    is_flag=True,
    help="Average the scores of both strands: twice the time, mirrored genes for the mirror image.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "bf16", "fp32"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the encoder; auto takes bf16 where the hardware has it.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep a journal beside FILE; after an interruption, the same command goes on from it.",
)
@compute_options
def genes(genomes: tuple[str, ...], output: str, **options: Any) -> None:
    """Predict protein-coding genes in GENOME (FASTA, plain or compressed; - for stdin).

    Writes GFF3, or GTF; bgzipped and tabix-indexed where FILE ends in .gz. Every complete gene
    begins with ATG, ends with a stop codon and has no other in frame; introns are GT-AG or
    GC-AG. Genes are partial only at sequence ends and at gaps.
    """
    run = _Run(genomes, output, Console(options["quiet"]), **options)
    run.check()
    run.annotate()
    run.summarise()


@dataclass
class _Run:
    """One call of the command."""

    genomes: Sequence[str]
    output: str
    console: Console
    dialect: str | None
    model: str | None
    proteins: str | None
    cds: str | None
    regions: str | None
    min_score: float
    min_gap: int
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
    started: float = field(default_factory=time.monotonic)
    bases: int = 0
    total: int = 0
    found: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse at once what would fail after hours."""
        from pathlib import Path

        from dnaannot.formats.output import check_writable

        outputs = [path for path in (self.output, self.proteins, self.cds) if path]
        named = [path for path in outputs if path != "-"]
        if len(outputs) - len(named) > 1 or len({Path(p).resolve() for p in named}) < len(named):
            raise click.UsageError("--output, --proteins and --cds need different files.")
        if self.resume and (self.output == "-" or self.regions or self.scores):
            raise click.UsageError(
                "--resume needs a file as --output and goes without --regions and --scores."
            )
        if len({str(genome) for genome in self.genomes}) < len(self.genomes):
            raise click.UsageError("a GENOME is given twice.")
        for path in named:
            check_writable(path)
        if self.dialect is None:
            name = self.output.removesuffix(".gz")
            self.dialect = "gtf" if name.endswith(".gtf") else "gff3"
        files = [Path(genome) for genome in self.genomes if genome != "-"]
        self.total = sum(f.stat().st_size for f in files if f.is_file() and f.suffix != ".gz")

    def annotate(self) -> None:
        """Read, predict and write."""
        from dnaannot.nn.checkpoint import load_gene_model
        from dnaannot.predict.device import choose_compute
        from dnaannot.predict.resume import resumed

        ahead = self.window or _WINDOW if self.batch_size else self.window or 0
        ahead *= self.batch_size or 1
        compute = choose_compute(self.device, self.precision, self.threads, ahead)
        records = self._records()
        entry, records = self._choose(records, compute)
        model, _ = load_gene_model(entry.path)
        if self.min_gap < model.grammar.min_intron:
            raise click.UsageError(
                f"--min-gap must be at least the model's least intron, {model.grammar.min_intron}."
            )
        with self.console.progress("genes") as on_progress, contextlib.ExitStack() as stack:
            predictor = self._predictor(model, compute, on_progress, stack)
            if self.resume:
                results = resumed(predictor.predict, records, self._journal(entry, stack))
            elif self.regions:
                results = self._predict_regions(predictor, records)
            else:
                results = predictor.predict(records)
            self._write(results, entry, stack)

    def _predictor(self, model, compute: Compute, on_progress, stack) -> GenePredictor:
        from dnaannot.formats.score_tracks import ScoreTracks
        from dnaannot.predict.genes import GenePredictor

        def on_bases(count: int) -> None:
            self.bases += count
            on_progress(self.bases, max(self.total, self.bases) if self.total else 0)

        tracks = ScoreTracks(self.scores) if self.scores else None
        self.tracks = tracks
        return GenePredictor(
            model,
            compute,
            min_gap=self.min_gap,
            both_strands=self.both_strands,
            on_labels=tracks.add if tracks else None,
            on_bases=on_bases,
        )

    def _records(self) -> Iterator[tuple[str, np.ndarray]]:
        from dnaannot.errors import InputFormatError
        from dnaannot.formats.fasta import read_fasta

        origin: dict[str, str] = {}
        for genome in self.genomes:
            for record in read_fasta(genome):
                if record.name in origin:
                    raise InputFormatError(
                        f"sequence {record.name!r} is also in {origin[record.name]}.",
                        path=genome,
                        line=record.line,
                        remedy="Rename one, or annotate the files in separate calls.",
                    )
                origin[record.name] = genome
                self.sizes[record.name] = len(record.codes)
                if len(record.codes):
                    yield record.name, record.codes
                else:
                    self.console.warn(f"{genome}: sequence {record.name!r} is empty, skipped.")

    def _choose(
        self, records: Iterator[tuple[str, np.ndarray]], compute: Compute
    ) -> tuple[Entry, Iterator[tuple[str, np.ndarray]]]:
        """The model, and the records with those put back that were read to choose it."""
        from itertools import chain

        from dnaannot.catalog import bundled, find
        from dnaannot.predict.choice import choose, sample

        head: list[tuple[str, np.ndarray]] = []
        while not self.model and sum(len(codes) for _, codes in head) < _SAMPLED_BASES:
            record = next(records, None)
            if record is None:
                break
            head.append(record)
        if self.model:
            return find(self.model), chain(head, records)
        choices = choose(bundled(), sample([codes for _, codes in head]), compute)
        best = choices[0]
        listed = ", ".join(f"{c.entry.name} {c.confidence:.2f}" for c in choices)
        self.console.note(
            f"model: {best.entry.name} (mean exon posterior on a sample of the genome: {listed})"
        )
        if best.is_poor:
            self.console.warn(
                f"no bundled model fits this genome well: {best.entry.name} is sure of its exons "
                f"with {best.confidence:.2f} here and {best.usual_confidence:.2f} on the "
                "genomes it was trained for. Consider training one: dnaannot train genes --help"
            )
        return best.entry, chain(head, records)

    def _predict_regions(
        self, predictor: GenePredictor, records: Iterator[tuple[str, np.ndarray]]
    ) -> Iterator[Genes]:
        from dnaannot.formats.bed import read_bed
        from dnaannot.predict.regions import predict_regions

        wanted: dict[str, list[Interval]] = {}
        for region in read_bed(str(self.regions)):
            wanted.setdefault(region.sequence, []).append(region)
        for name, codes in records:
            self._check_regions(wanted.get(name, []), len(codes))
            spans = [(region.start, region.end) for region in wanted.pop(name, [])]
            if spans:
                yield predict_regions(predictor, name, codes, spans)
        self._refuse_unknown(wanted)

    def _check_regions(self, regions: Iterable[Interval], length: int) -> None:
        from dnaannot.errors import DataError

        for region in regions:
            if region.end > length:
                raise DataError(
                    f"region ends at {region.end}, past the end of {region.sequence!r} "
                    f"({length} bases).",
                    path=self.regions,
                    line=region.line,
                )

    def _refuse_unknown(self, wanted: dict[str, list[Interval]]) -> None:
        from dnaannot.errors import DataError

        for name, regions in wanted.items():
            there = ", ".join(list(self.sizes)[:3])
            raise DataError(
                f"sequence {name!r} is not in the genome, which has {there} ...",
                path=self.regions,
                line=regions[0].line,
            )

    def _journal(self, entry: Entry, stack: contextlib.ExitStack) -> Journal:
        from dnaannot import __version__
        from dnaannot.formats.journal import Journal

        facts = {"version": __version__, "model": entry.facts, "bf16": self.precision}
        facts |= {"min_gap": self.min_gap, "both_strands": self.both_strands}
        journal = Journal(f"{self.output}.journal", facts)

        def close(error: object, *_: object) -> None:
            journal.close(done=error is None)

        stack.push(close)
        return journal

    def _write(self, results: Iterator[Genes], entry: Entry, stack: contextlib.ExitStack) -> None:
        from dnaannot import __version__
        from dnaannot.formats.fasta import write_cds, write_protein
        from dnaannot.formats.gene_writer import GeneWriter
        from dnaannot.formats.output import atomic_output

        stream = stack.enter_context(atomic_output(self.output, tabix="gff"))
        extras = [
            (stack.enter_context(atomic_output(path)), write)
            for path, write in ((self.proteins, write_protein), (self.cds, write_cds))
            if path
        ]
        comments = [f"dnaannot {__version__}, model {entry.name}"]
        writer = GeneWriter(stream, self.dialect, prefix=self.id_prefix, comments=comments)
        for result in results:
            writer.begin_sequence(result.name, len(result.codes))
            for transcript in result.transcripts:
                if transcript.score < self.min_score:
                    continue
                named = writer.write(transcript)
                self._count(named)
                for extra, write in extras:
                    write(extra, named, result.codes)
        if self.tracks:
            self.tracks.write({name: size for name, size in self.sizes.items() if size})

    def _count(self, transcript: Transcript) -> None:
        self.found["genes"] += 1
        self.found["exons"] += len(transcript.exons)
        self.found["partial"] += transcript.is_partial

    def summarise(self) -> None:
        """Say on stderr what was done."""
        seconds = time.monotonic() - self.started
        self.console.note(
            f"{self.found['genes']:,} genes, {self.found['exons']:,} exons, "
            f"{self.found['partial']:,} partial; {amount(self.bases)} in {duration(seconds)} "
            f"({amount(self.bases / max(seconds, 1e-9))}/s)"
        )
