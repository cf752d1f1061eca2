"""`dnaannot tracks`: accessibility, histone marks and methylation of genomes."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnaannot.cli.config import GENOME_VARIABLE, config_path, find_genome
from dnaannot.cli.console import Console, amount, duration
from dnaannot.cli.options import (
    BasePairs,
    device_option,
    precision_option,
    quiet_option,
    threads_option,
)
from dnaannot.dna.names import counted

if TYPE_CHECKING:
    import numpy as np

    from dnaannot.catalog import Entry
    from dnaannot.errors import DataError
    from dnaannot.formats.fasta_index import IndexedFasta
    from dnaannot.formats.track_files import Track
    from dnaannot.formats.track_folder import FolderWriter, TrackFolder
    from dnaannot.formats.wanted_regions import WantedRegions
    from dnaannot.nn.tracks import TrackModel
    from dnaannot.predict.genomes import Genomes
    from dnaannot.predict.track_preview import Preview
    from dnaannot.predict.tracks import TrackPredictor

_UCSC = "UCSC's name of the genome, such as hg38, for hub.txt.  [default: told by its lengths]"

_ASSEMBLY = re.compile(r"[\w.-]+")


@click.command()
@click.argument("regions", required=False, metavar="[REGIONS]")
@click.option(
    "--task",
    metavar="TASK",
    help="accessibility, histone, ctcf, methylation, or what a model of your own is for.  "
    "[default: all that --model is for]",
)
@click.option(
    "-g",
    "--genome",
    metavar="FASTA",
    help="The genome.  [default: DNAANNOT_GENOME, or `dnaannot config set genome FASTA`]",
)
@click.option(
    "-o", "--output", default="tracks", show_default=True, metavar="DIR", help="Folder to write."
)
@click.option("--model", metavar="NAME|PATH", help="Model to use.  [default: by task and genome]")
@click.option(
    "--labels",
    metavar="A,B,...",
    help="Only these of the model's labels, such as k562,ctcf__liver.",
)
@click.option(
    "--step", type=BasePairs(), help="A value every so many bases.  [default: 128; none at CpGs]"
)
@click.option(
    "--both-strands", is_flag=True, help="Average the scores of both strands: twice the time."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["bigwig", "bedgraph", "tsv", "npz"]),
    default="bigwig",
    show_default=True,
    help="Of the tracks: one bigWig or bedGraph a label, or one table or NumPy file of all.",
)
@click.option("--assembly", metavar="NAME", help=_UCSC)
@click.option("--plot", is_flag=True, help="Also draw the first regions as PNG pictures.")
@click.option("--genes", metavar="GFF3|GTF", help="Genes to draw below the tracks; with --plot.")
@precision_option
@device_option
@threads_option
@quiet_option
def tracks(regions: str | None, output: str, **options: Any) -> None:
    """Predict accessibility, histone marks, CTCF and methylation in REGIONS or everywhere.

    REGIONS is a BED file, plain or compressed, or one region written chr8:1,001-60,000. Writes a
    folder: one bigWig a label, tracks.tsv that says what each file is, and hub.txt, which UCSC
    loads as a track hub. Values are about the 512 bases around them and stand at multiples of
    --step, methylation at CpGs; regions only select, so that a value is the same whatever else
    is asked for.
    """
    settings = _Settings(regions, output, **options)
    settings.check()
    run = _Run(settings)
    run.write()
    run.summarise()


@dataclass(frozen=True)
class _Settings:
    """What the command line says."""

    regions: str | None
    output: str
    task: str | None
    genome: str | None
    model: str | None
    labels: str | None
    step: int | None
    both_strands: bool
    form: Any
    assembly: str | None
    plot: bool
    genes: str | None
    precision: str
    device: str
    threads: int
    quiet: bool

    @property
    def wanted_labels(self) -> list[str]:
        """Names that --labels lists."""
        return [name.strip() for name in (self.labels or "").split(",") if name.strip()]

    def check(self) -> None:
        """Refuse what makes no sense, whatever the files hold."""
        if self.task is None and self.model is None:
            raise click.UsageError("give --task, --model or both.")
        if self.genes and not self.plot:
            raise click.UsageError("--genes goes with --plot.")
        if self.output in ("", "-"):
            raise click.UsageError("--output is a folder, which needs a name.")
        if self.assembly is not None and not _ASSEMBLY.fullmatch(self.assembly):
            raise click.UsageError(f"--assembly '{self.assembly}' is no name of UCSC's, as hg38.")
        if self.labels is not None and not self.wanted_labels:
            raise click.UsageError("--labels names no label.")


class _Run:
    """One call of the command."""

    def __init__(self, settings: _Settings) -> None:
        self.settings, self.console = settings, Console(settings.quiet)
        self.started = time.monotonic()
        self.worked = self.values = self.tracks = 0

    def write(self) -> None:
        """Read, predict and write."""
        from dnaannot.nn.checkpoint import load_track_model
        from dnaannot.predict.track_choice import candidates

        told = self.settings
        entries = candidates(told.task, told.model)
        genomes, pieces, wanted = self._genome()
        entry = self._choose(entries, pieces)
        model, _ = load_track_model(entry.path)
        predictor = self._predictor(model)
        preview = self._preview(wanted, genomes)
        folder = self._folder(entry, predictor, genomes, preview)
        genes = self._genes(genomes.sizes)
        with folder.open() as writer:
            self._predict(predictor, genomes, wanted, preview, writer)
            self.values, self.tracks = writer.count, len(folder.tracks)
            if not self.values:
                raise _nothing(model.sites, told.regions)
            if preview:
                self._draw(preview, folder.tracks, genes, writer.folder)
        if not folder.has_hub and folder.form == "bigwig":
            self.console.note("no hub.txt: give UCSC's name of the genome with --assembly.")

    def _genome(self) -> tuple[Genomes | IndexedFasta, list[np.ndarray], WantedRegions | None]:
        """The genome, stretches of it that are the same whatever is wanted, and what is wanted."""
        from dnaannot.formats.fasta_index import IndexedFasta, indexed_sizes
        from dnaannot.formats.source import refuse_stream
        from dnaannot.predict.genomes import Genomes
        from dnaannot.predict.samples import StreamSample, spread_stretches

        path = find_genome(self.settings.genome, self.console.note)
        if path is None:
            raise click.UsageError(
                "which genome? Give it with -g GENOME.fa, or in the environment variable "
                f"{GENOME_VARIABLE}, or once and for all with `dnaannot config set genome "
                f"GENOME.fa` (kept in {config_path()})."
            )
        refuse_stream(path)
        sizes = indexed_sizes(path) if self.settings.regions else None
        if sizes and (wanted := self._wanted(sizes)):
            indexed = IndexedFasta(path, sizes, {region.sequence for region in wanted.regions})
            return indexed, list(indexed.read(spread_stretches(sizes))), wanted
        genomes, sample = Genomes([path], self._warn_of_empty), StreamSample()
        genomes.survey(sample.add)
        return genomes, sample.stretches(), self._wanted(genomes.sizes)

    def _wanted(self, sizes: Mapping[str, int]) -> WantedRegions | None:
        """The regions asked for, on sequences of these sizes; None for the whole genome."""
        from dnaannot.formats.wanted_regions import WantedRegions

        if not self.settings.regions:
            return None
        wanted = WantedRegions(self.settings.regions, sizes)
        wanted.check(sizes)
        return wanted

    def _choose(self, entries: Sequence[Entry], stretches: Sequence[np.ndarray]) -> Entry:
        """The nearest to the genome of models that serve; says so, and where even it is far."""
        from dnaannot.predict.nearest import FAR_BASES, nearest
        from dnaannot.predict.samples import mostly_known

        pieces = mostly_known(stretches)
        choices = nearest(entries, pieces)
        best = choices[0]
        if len(choices) > 1 and math.isfinite(best.distance):
            listed = ", ".join(f"{c.entry.name} {c.distance:.2f}" for c in choices)
            self.console.note(f"distance of genomic signatures: {listed}")
        if best.is_far and sum(map(len, pieces)) >= FAR_BASES:
            species = ", ".join(best.entry.card.get("species", []))
            self.console.warn(
                f"the genome is far ({best.distance:.2f}) from what {best.entry.name} was trained "
                f"on{f' ({species})' if species else ''}: its tracks may mean little here. "
                "Train on your own labels: dnaannot train tracks --help"
            )
        return best.entry

    def _warn_of_empty(self, path: str, name: str) -> None:
        self.console.warn(f"{path}: sequence '{name}' is empty, skipped.")

    def _predictor(self, model: TrackModel) -> TrackPredictor:
        from dnaannot.predict.device import choose_compute
        from dnaannot.predict.track_choice import choose_labels
        from dnaannot.predict.tracks import DEFAULT_STEP, Cpgs, Grid, TrackPredictor

        told = self.settings
        if model.sites == "cpg" and told.step:
            raise click.UsageError("--step is not for this model: it gives values at CpGs.")
        return TrackPredictor(
            model,
            Cpgs() if model.sites == "cpg" else Grid(told.step or DEFAULT_STEP),
            choose_compute(told.device, told.precision, told.threads),
            chosen=choose_labels(model.tracks, told.task, told.wanted_labels),
            both_strands=told.both_strands,
        )

    def _preview(
        self, wanted: WantedRegions | None, genomes: Genomes | IndexedFasta
    ) -> Preview | None:
        from dnaannot.predict.track_preview import Preview

        if not self.settings.plot:
            return None
        title = self.settings.task or "tracks"
        regions = wanted.within(genomes.sizes) if wanted else []
        return Preview(regions, genomes.sizes, title)

    def _folder(
        self,
        entry: Entry,
        predictor: TrackPredictor,
        genomes: Genomes | IndexedFasta,
        preview: Preview | None,
    ) -> TrackFolder:
        from dnaannot.formats.assemblies import guess_assembly
        from dnaannot.formats.track_files import Track
        from dnaannot.formats.track_folder import TrackFolder
        from dnaannot.predict.tracks import Grid, unit

        told, sites = self.settings, predictor.sites
        guess = guess_assembly(genomes.sizes)
        if told.assembly and guess not in (None, told.assembly):
            self.console.warn(
                f"by its lengths the genome is {guess}, not {told.assembly}, which hub.txt tells."
            )
        folder = TrackFolder(
            path=Path(told.output),
            tracks=[Track(x.task, x.name, entry.name, unit(x)) for x in predictor.labels],
            form=told.form,
            sizes=genomes.sizes,
            sites=f"every {sites.step} bp" if isinstance(sites, Grid) else "CpG",
            assembly=told.assembly or guess,
            pictures=preview.names if preview else (),
        )
        folder.check()
        if earlier := folder.earlier_tracks:
            self.console.note(f"{counted(earlier, 'track')} of earlier runs stay in {told.output}")
        self.console.note(f"model: {entry.name}; {counted(len(folder.tracks), 'track')}")
        return folder

    def _genes(self, sizes: Mapping[str, int]) -> list | None:
        from dnaannot.formats.gff import read_annotation
        from dnaannot.formats.label_checks import check_names

        if not self.settings.genes:
            return None
        annotation = read_annotation(self.settings.genes)
        transcripts = [found.transcript for found in annotation.transcripts]
        check_names((each.sequence for each in transcripts), sizes, self.settings.genes)
        return [
            replace(
                each,
                name=annotation.names.get((each.sequence, each.gene)) or each.gene or each.name,
            )
            for each in transcripts
        ]

    def _predict(
        self,
        predictor: TrackPredictor,
        genomes: Genomes | IndexedFasta,
        wanted: WantedRegions | None,
        preview: Preview | None,
        writer: FolderWriter,
    ) -> None:
        from dnaannot.predict.track_selection import Selection

        selection = Selection(wanted, preview)
        total = sum(
            predictor.planned_bases(length, selection.worked(name, length))
            for name, length in genomes.sizes.items()
        )
        with self.console.progress("tracks") as show:
            for values in predictor.predict(genomes, selection.worked):
                if preview:
                    preview.take(values)
                writer.add(*selection.written(values)[:4])
                self.worked += values.bases
                show(self.worked, total)

    def _draw(
        self, preview: Preview, tracks: Sequence[Track], genes: list | None, folder: Path
    ) -> None:
        from dnaannot.formats.track_plot import draw_view

        for name, view in zip(preview.names, preview.views(len(tracks), genes), strict=True):
            draw_view(folder / name, view, tracks)

    def summarise(self) -> None:
        """Say on stderr what was done."""
        seconds = time.monotonic() - self.started
        self.console.note(
            f"{self.settings.output}: {counted(self.tracks, 'track')} of "
            f"{counted(self.values, 'value')}; {amount(self.worked)} in {duration(seconds)} "
            f"({amount(self.worked / max(seconds, 1e-9))}/s)"
        )


def _nothing(sites: str, regions: str | None) -> DataError:
    from dnaannot.errors import DataError

    what = "no CpG" if sites == "cpg" else "no known base"
    if regions:
        return DataError(
            f"there is {what} in these regions.",
            path=regions,
            remedy="Give longer ones, or none for the whole genome.",
        )
    return DataError(f"there is {what} in this genome.", remedy="Check that it is the right one.")
