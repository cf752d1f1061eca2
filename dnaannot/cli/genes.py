"""`dnaannot genes`: gene models of genomes."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from dnaannot.cli.console import Console, amount, duration
from dnaannot.cli.genes_settings import GenesSettings
from dnaannot.cli.options import (
    BasePairs,
    Number,
    compute_options,
    precision_option,
    regions_option,
)
from dnaannot.dna.names import counted

if TYPE_CHECKING:
    import numpy as np

    from dnaannot.catalog import Entry
    from dnaannot.dna.transcript import Transcript
    from dnaannot.formats.journal import Journal
    from dnaannot.formats.score_tracks import ScoreTracks
    from dnaannot.formats.wanted_regions import WantedRegions
    from dnaannot.nn.model import GeneModel
    from dnaannot.predict.genes import Genes
    from dnaannot.predict.genomes import Genomes
    from dnaannot.predict.scorer import Compute

_SAMPLED_BASES = 20_000_000


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
@regions_option("Only genes that overlap these regions: a BED file, or one region as in samtools.")
@click.option(
    "--exclude",
    "excluded",
    multiple=True,
    metavar="NAME",
    help="Leave out this sequence, such as a mitochondrion; repeatable.",
)
@click.option(
    "--min-score",
    type=Number(0, 1),
    default=0.0,
    show_default=True,
    help="Leave out genes of a lower posterior probability.",
)
@click.option(
    "--min-cds",
    type=BasePairs(),
    metavar="BP",
    help="Leave out genes with fewer coding bases, stop codon included.",
)
@click.option("--complete", is_flag=True, help="Leave out genes that a sequence end or a gap cuts.")
@click.option(
    "--min-gap",
    type=BasePairs(),
    help="Runs of at least so many N are gaps: introns may span them, exons may not.  "
    "[default: 50, or the model's least intron if that is longer]",
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
@precision_option
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
    settings = GenesSettings(genomes, output, **options)
    settings.check()
    run = _Run(settings)
    run.annotate()
    run.summarise()


@dataclass(frozen=True)
class _Plan:
    """What a run works with, found and checked before the long work.

    Attributes:
        compute: how to compute.
        genomes: what is annotated.
        total: bases to decode, 0 where that is not known.
        wanted: the regions asked for, None for all.
        tracks: where label posteriors go, None for nowhere.
    """

    compute: Compute
    genomes: Genomes
    total: int
    wanted: WantedRegions | None
    tracks: ScoreTracks | None


class _Run:
    """One call of the command."""

    def __init__(self, settings: GenesSettings) -> None:
        self.settings, self.console = settings, Console(settings.quiet)
        self.started = time.monotonic()
        self.decoded = 0
        self.found: Counter[str] = Counter()

    def annotate(self) -> None:
        """Read, predict and write."""
        from dnaannot.predict.compiling import compile_ahead

        compile_ahead()
        from dnaannot.catalog import find

        with contextlib.ExitStack() as stack:
            told = self.settings.model
            entry = None if told is None else find(told)
            # before the genome is read, as it may be refused
            model = None if entry is None else self._load(entry)
            plan = self._plan(stack)
            sequences = iter(plan.genomes)
            if entry is None or model is None:
                entry, sequences = self._choose(sequences, plan.compute)
                model = self._load(entry)
            self._write(self._results(entry, model, sequences, plan, stack), entry, plan)

    def _plan(self, stack: contextlib.ExitStack) -> _Plan:
        from dnaannot.formats.score_tracks import ScoreTracks
        from dnaannot.formats.wanted_regions import WantedRegions
        from dnaannot.predict.device import choose_compute
        from dnaannot.predict.genomes import Genomes

        told = self.settings
        compute = choose_compute(told.device, told.precision, told.threads, told.ahead)
        genomes = Genomes(told.genomes, self._warn_of_empty, told.excluded)
        is_complete = genomes.survey()
        self._warn_of_organelles(genomes.sizes)
        wanted = WantedRegions(told.regions, genomes.sizes) if told.regions else None
        if wanted and is_complete:
            wanted.check(genomes.sizes)
        total = sum(genomes.sizes.values()) if is_complete and not wanted else 0
        tracks = None
        if told.scores:
            tracks = ScoreTracks(told.scores)
            stack.push(_closing(tracks))
        return _Plan(compute, genomes, total, wanted, tracks)

    def _warn_of_empty(self, path: str, name: str) -> None:
        self.console.warn(f"{path}: sequence '{name}' is empty, skipped.")

    def _warn_of_organelles(self, sizes: Mapping[str, int]) -> None:
        from dnaannot.predict.genomes import is_organelle

        if names := [name for name, length in sizes.items() if is_organelle(name, length)]:
            options = " ".join(f"--exclude {name}" for name in names)
            self.console.warn(
                f"{', '.join(names)}: an organelle by its name, whose genetic code and genes are "
                f"not those that dnaannot knows. Leave it out: {options}"
            )

    def _choose(
        self, sequences: Iterator[tuple[str, np.ndarray]], compute: Compute
    ) -> tuple[Entry, Iterator[tuple[str, np.ndarray]]]:
        """The model, and the sequences with those put back that were read to choose it."""
        from dnaannot.catalog import bundled
        from dnaannot.predict.choice import (
            JUDGED_BASES,
            choose,
            confidence,
            is_poor,
            usual_confidence,
        )
        from dnaannot.predict.samples import SIGNED_PIECES, sample

        head: list[tuple[str, np.ndarray]] = []
        bases = 0
        while bases < _SAMPLED_BASES and (following := next(sequences, None)):
            head.append(following)
            bases += len(following[1])
        read = [codes for _, codes in head]
        choices = choose(bundled(), sample(read, SIGNED_PIECES))
        best = choices[0].entry
        listed = ", ".join(f"{c.entry.name} {c.distance:.2f}" for c in choices)
        self.console.note(f"model: {best.name} (distance of genomic signatures: {listed})")
        if bases >= JUDGED_BASES:  # a short locus may hold no gene
            found = confidence(best, sample(read), compute)
            if is_poor(best, found):
                self.console.warn(
                    f"no bundled model fits this genome well: {best.name} is sure of its exons "
                    f"with {found:.2f} here and {usual_confidence(best):.2f} on the genomes "
                    "that it was validated on. Consider training one: dnaannot train genes --help"
                )
        return best, chain(head, sequences)

    def _results(
        self,
        entry: Entry,
        model: GeneModel,
        sequences: Iterator[tuple[str, np.ndarray]],
        plan: _Plan,
        stack: contextlib.ExitStack,
    ) -> Iterator[Genes]:
        from dnaannot.predict.genes import GenePredictor
        from dnaannot.predict.regions import predict_all_regions
        from dnaannot.predict.resume import resumed

        show = stack.enter_context(self.console.progress("genes"))
        known = 0

        def on_known(bases: int) -> None:
            nonlocal known
            known += bases

        def on_bases(bases: int) -> None:
            self.decoded += bases
            show(known + self.decoded, plan.total)

        told = self.settings
        predictor = GenePredictor(
            model,
            plan.compute,
            min_gap=told.min_gap,
            both_strands=told.both_strands,
            on_bases=on_bases,
        )
        on_labels = plan.tracks.add if plan.tracks else None
        if plan.wanted:
            return predict_all_regions(predictor, sequences, plan.wanted, on_labels)
        if told.resume:
            journal = self._journal(entry, plan.compute, predictor.min_gap)
            stack.push(_closing(journal))
            return resumed(predictor.predict, sequences, journal, on_known)
        return predictor.predict(sequences, on_labels)

    def _load(self, entry: Entry) -> GeneModel:
        from dnaannot.nn.checkpoint import load_gene_model

        model, _ = load_gene_model(entry.path)
        min_gap, least = self.settings.min_gap, model.grammar.min_intron
        if min_gap is not None and min_gap < least:
            raise click.UsageError(f"--min-gap must be at least the model's least intron, {least}.")
        return model

    def _journal(self, entry: Entry, compute: Compute, min_gap: int) -> Journal:
        from dnaannot import __version__
        from dnaannot.formats.journal import Journal
        from dnaannot.formats.output import remove_leftovers
        from dnaannot.formats.source import file_hash

        facts = {
            "version": __version__,
            "model": file_hash(entry.path),
            "device": compute.device,
            "bf16": compute.bf16,
            "min_gap": min_gap,
            "both_strands": self.settings.both_strands,
        }
        journal = Journal(f"{self.settings.output}.journal", facts)
        if journal.is_locked:
            for path in self.settings.outputs:
                remove_leftovers(path)
        return journal

    def _write(self, results: Iterator[Genes], entry: Entry, plan: _Plan) -> None:
        from dnaannot import __version__
        from dnaannot.formats.gene_files import gene_files

        told = self.settings
        with gene_files(
            told.output,
            told.dialect,
            proteins=told.proteins,
            cds=told.cds,
            prefix=told.id_prefix,
            comments=[f"dnaannot {__version__}, model {entry.name} {told.filters}".rstrip()],
        ) as files:
            for genes in results:
                files.begin_sequence(genes.name, len(genes.codes))
                for transcript in genes.transcripts:
                    if told.keeps(transcript):
                        files.write(transcript, genes.codes)
                        self._count(transcript)
            files.flush()
            if plan.tracks:
                plan.tracks.write(plan.genomes.sizes)

    def _count(self, transcript: Transcript) -> None:
        self.found["genes"] += 1
        self.found["exons"] += len(transcript.exons)
        self.found["partial"] += transcript.is_partial

    def summarise(self) -> None:
        """Say on stderr what was done."""
        seconds = time.monotonic() - self.started
        self.console.note(
            f"{counted(self.found['genes'], 'gene')}, {counted(self.found['exons'], 'exon')}, "
            f"{self.found['partial']:,} partial; {amount(self.decoded)} in {duration(seconds)} "
            f"({amount(self.decoded / max(seconds, 1e-9))}/s)"
        )


def _closing(resource: Journal | ScoreTracks) -> Callable[..., None]:
    """Closes a resource as its run ended, well or not."""

    def close(error: object, *_: object) -> None:
        resource.close(done=error is None)

    return close
