"""`bin/benchmark stages`: which part of `dnaannot genes` takes the time.

The stages of one run, which a run interleaves, are made to wait for each other here: each takes
everything the one before it made. CPU time, on one thread.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.genes import add_sequence_options
from benchmarks.measuring import ROOT, read_bases, say, write_report

WARM_UP = 100_000


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark stages`."""
    add_sequence_options(parser, mb=2.0)
    parser.add_argument("--model", default="fly", help="default: %(default)s")
    parser.add_argument("--precision", default="auto", help="auto, bf16 or fp32 (default: auto)")


class Stopwatch:
    """CPU seconds of what was made, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def all_of(self, name: str, items: Iterable[Any]) -> list[Any]:
        """The items, once the last of them is there."""
        begun = time.process_time()
        made = list(items)
        self.seconds[name] = time.process_time() - begun
        return made

    def of_method(self, owner: object, method: str, name: str) -> None:
        """From now on, an object's method gives its items when all are made."""
        inner: Callable[..., Iterable[Any]] = getattr(owner, method)

        def run(*given: Any) -> Iterator[Any]:
            return iter(self.all_of(name, inner(*given)))

        setattr(owner, method, run)


def benchmark_stages(arguments: argparse.Namespace) -> None:
    """Time the stages on a sequence and write docs/benchmarks/stages.md."""
    sys.path.insert(0, str(ROOT))
    import torch

    from dnaannot.dna.sequence import encode

    torch.set_num_threads(1)
    codes = encode(read_bases(arguments.genome, round(arguments.mb * 1e6)).encode())
    run_staged(codes[:WARM_UP].copy(), arguments.model, arguments.precision)
    seconds = run_staged(codes, arguments.model, arguments.precision)
    total = sum(seconds.values())
    rows = [
        {
            "what": name,
            "seconds": round(spent, 3),
            "share": f"{spent / total:.1%}",
            "mb_per_s": round(len(codes) / spent / 1e6, 2),
        }
        for name, spent in {**seconds, "all": total}.items()
    ]
    notes = [
        f"{arguments.genome.name}: {len(codes):,} bases, model `{arguments.model}`, precision "
        f"{arguments.precision}; CPU time of one thread, one run after a warm-up."
    ]
    write_report("stages", "The stages of `dnaannot genes` on one core", rows, {}, notes)


def run_staged(codes: Any, model: str, precision: str) -> dict[str, float]:
    """CPU seconds of each stage; marks gaps in the codes."""
    from dnaannot.catalog import find
    from dnaannot.formats.gene_files import gene_files
    from dnaannot.nn.checkpoint import load_gene_model
    from dnaannot.predict.device import choose_compute
    from dnaannot.predict.genes import GenePredictor

    network, _ = load_gene_model(find(model).path)
    predictor = GenePredictor(network, choose_compute("cpu", precision))
    watch = Stopwatch()
    blocks = predictor._blocks

    def scored_first(codes: Any, chunks: Iterable[Any]) -> Iterator[Any]:
        return blocks(codes, watch.all_of("encoder and head", chunks))

    predictor._blocks = scored_first  # type: ignore[method-assign]
    watch.of_method(predictor, "_blocks", "position words")
    watch.of_method(predictor, "_with_states", "Viterbi")
    watch.of_method(predictor, "_posteriors", "posteriors")
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        with gene_files(str(Path(folder) / "genes.gff3")) as files:
            for genes in predictor.predict([("sequence", codes)]):
                files.begin_sequence(genes.name, len(genes.codes))
                for transcript in genes.transcripts:
                    files.write(transcript, genes.codes)
    spent = watch.seconds
    spent["genes read and written"] = time.process_time() - begun - sum(spent.values())
    say(f"{len(codes):,} bases: {spent}")
    return spent
