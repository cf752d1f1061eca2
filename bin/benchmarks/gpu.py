"""`bin/benchmark gpu`: encoder, CRF, decoding and a whole run on a GPU, and its memory.

Parts are timed between two synchronisations, each alone; what is compared takes turns. The GFF3
of the GPU is held against that of the CPU, gene by gene.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.encoder import CRF_LENGTH, flops_per_base
from benchmarks.measuring import (
    OURS,
    ROOT,
    Contestant,
    read_bases,
    run_together,
    say,
    write_fasta,
    write_report,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

MATRIX = 8_192
"""Rows, columns and outputs of the matrix product that the encoders are held against."""
WINDOWS = 64
"""Windows of a training step, each with its known labels and without."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark gpu`."""
    parser.add_argument("--genome", type=Path, help="a chromosome, for the run from end to end")
    parser.add_argument("--mb", type=float, default=90.0, help="of it (default: %(default)s)")
    parser.add_argument("--cpu-mb", type=float, default=5.0, help="compared with the CPU's genes")
    parser.add_argument("--model", default="human", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")


def benchmark_gpu(arguments: argparse.Namespace) -> None:
    """Measure everything that runs on a GPU, and write docs/benchmarks/gpu.md."""
    sys.path.insert(0, str(ROOT))
    import torch

    if not torch.cuda.is_available():
        sys.exit("bin/benchmark gpu needs a CUDA device; docs/benchmarks/gpu.md stays as it is.")
    rows = [*encoders(arguments.rounds), *crf(arguments.rounds), *decoders(arguments.rounds)]
    notes = [
        f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}.",
        f"Matrix product: {MATRIX:,} cubed in bf16. {arguments.rounds} rounds, medians.",
    ]
    if arguments.genome:
        found, said = end_to_end(arguments)
        rows += found
        notes += said
    else:
        notes.append("No --genome was given: the run from end to end was not measured.")
    write_report("gpu", "dnaannot on a GPU", rows, {}, notes)


def seconds(task: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median time of a task after one run that does not count, and its peak memory in GiB."""
    import torch

    times = []
    torch.cuda.reset_peak_memory_stats()
    for number in range(rounds + 1):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        task()
        torch.cuda.synchronize()
        if number:
            times.append(time.perf_counter() - begun)
    return statistics.median(times), torch.cuda.max_memory_allocated() / 2**30


def line(what: str, taken: float, peak: float, bases: int = 0, share: str = "") -> dict:
    """One line of the table."""
    speed = round(bases / taken / 1e6, 1) if bases else ""
    say(f"{what}: {taken * 1000:.1f} ms")
    return {
        "what": what, "ms": round(taken * 1000, 2), "mb_per_s": speed,
        "of_matrix_rate": share, "peak_gib": round(peak, 2),
    }  # fmt: skip


def encoders(rounds: int) -> list[dict]:
    """The shipped models' encoder and the paper's beside the rate of matrix products."""
    import torch

    from dnaannot.nn.encoder import PRESETS
    from dnaannot.nn.model import GeneModel
    from dnaannot.predict.replicas import bases_at_once

    one, other = torch.randn(2, MATRIX, MATRIX, device="cuda").bfloat16()
    taken, peak = seconds(lambda: one @ other, rounds)
    best = 2 * MATRIX**3 / taken
    rows = [line("matrix product", taken, peak, share="100%")]
    for preset in ("strided", "spt"):
        model = GeneModel(PRESETS[preset]).eval()
        flops = flops_per_base(model)
        size = 16_384 * model.encoder.config.stride
        batch = max(1, bases_at_once(model.encoder, ["cuda:0"]) // size)
        tokens = torch.randint(0, 4, (batch, size), device="cuda").to(torch.uint8)
        model = model.cuda()

        def score(model: torch.nn.Module = model, tokens: torch.Tensor = tokens) -> None:
            with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
                model(tokens)

        taken, peak = seconds(score, rounds)
        share = flops * tokens.numel() / taken / best
        rows.append(line(f"encoder {preset}", taken, peak, tokens.numel(), f"{share:.0%}"))
    return rows


def crf(rounds: int) -> list[dict]:
    """Forward and backward pass of a training step's windows, and of linear chains."""
    import numpy as np
    import torch

    from dnaannot.dna.grammar import gene_grammar
    from dnaannot.nn.crf import LinearChainCRF, crf_log_likelihood

    grammar, (words, emissions) = gene_grammar(), random_scores(WINDOWS * CRF_LENGTH)
    at = torch.from_numpy(words.reshape(WINDOWS, -1).astype(np.int64)).cuda()
    scores = torch.from_numpy(emissions).cuda().view(WINDOWS, CRF_LENGTH, -1).requires_grad_()
    weights = torch.zeros(len(grammar.pairs), device="cuda", requires_grad=True)
    allowed = torch.full_like(at, 0xFFFFFFFF)

    def grammars() -> None:
        values = crf_log_likelihood(scores, weights, at, allowed, grammar).values
        torch.autograd.grad(values.sum(), (scores, weights))

    chain = LinearChainCRF(9, batch_first=True).cuda()
    nine = scores.detach()[..., :9].clone().requires_grad_()
    tags = torch.zeros(WINDOWS, CRF_LENGTH, dtype=torch.long, device="cuda")

    def chains() -> None:
        torch.autograd.grad(chain(nine, tags), (nine, chain.transitions))

    bases = WINDOWS * CRF_LENGTH
    return [
        line("CRF of the gene grammar", *seconds(grammars, rounds), bases),
        line("linear-chain CRF", *seconds(chains, rounds), bases),
    ]


def decoders(rounds: int) -> list[dict]:
    """Best path on all threads, and posteriors, of random scores along eight million bases."""
    import os

    import numpy as np
    import torch

    from dnaannot.dna.grammar import gene_grammar
    from dnaannot.dna.viterbi import Viterbi
    from dnaannot.nn.posterior_cuda import posteriors
    from dnaannot.predict.genes import BLOCK

    grammar, (words, emissions) = gene_grammar(), random_scores(128 * BLOCK)
    emissions[:, 0] += 4  # mostly intergenic, as genomes are
    weights = np.zeros(len(grammar.pairs), np.float32)
    viterbi, threads = Viterbi(grammar, weights), len(os.sched_getaffinity(0))
    cuts = range(0, len(words), BLOCK)
    chunks = [(words[at : at + BLOCK], emissions[at : at + BLOCK]) for at in cuts]
    path: list[np.ndarray] = []
    with ThreadPoolExecutor(threads) as pool:

        def decode() -> None:
            path[:] = viterbi.decode(chunks, pool=pool, at_once=2 * threads)

        decoding = seconds(decode, rounds)
    states = np.concatenate(path)
    blocks = [(*chunk, states[at : at + BLOCK]) for chunk, at in zip(chunks, cuts, strict=True)]
    along = seconds(
        lambda: list(posteriors(grammar, weights, blocks, torch.device("cuda"))), rounds
    )
    return [
        line(f"Viterbi, {threads} threads", *decoding, len(words)),
        line("posteriors", *along, len(words)),
    ]


def random_scores(bases: int) -> tuple[np.ndarray, np.ndarray]:
    """Position words (L,) of random bases, and emissions (L, 17)."""
    import numpy as np

    from dnaannot.dna.grammar import LABELS, position_words

    rng = np.random.default_rng(1)
    words = position_words(rng.integers(0, 4, bases).astype(np.uint8))
    return words, rng.standard_normal((bases, len(LABELS)), np.float32)


def end_to_end(arguments: argparse.Namespace) -> tuple[list[dict], list[str]]:
    """`dnaannot genes` on the GPU, and where its genes differ from the CPU's."""
    bases = read_bases(arguments.genome, round(arguments.mb * 1e6))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = write_fasta(folder / "whole.fa", bases)
        part = write_fasta(folder / "part.fa", bases[: round(arguments.cpu_mb * 1e6)])
        run_once(arguments.model, "cuda", part, folder / "first.gff3")  # what is compiled once
        taken = [
            run_once(arguments.model, "cuda", whole, folder / "whole.gff3")
            for _ in range(arguments.rounds)
        ]
        for device in ("cpu", "cuda"):
            run_once(arguments.model, device, part, folder / f"{device}.gff3")
        ours, theirs = (genes_in(folder / f"{device}.gff3") for device in ("cuda", "cpu"))
    row = line("dnaannot genes", statistics.median(taken), 0.0, len(bases))
    row["peak_gib"] = ""
    note = (
        f"{arguments.genome.name}: of {len(theirs):,} genes that the CPU finds in "
        f"{arguments.cpu_mb:g} Mb in bf16 or its best, the GPU finds {len(ours & theirs):,} alike "
        f"and {len(ours - theirs):,} others."
    )
    return [row], [note]


def run_once(model: str, device: str, genome: Path, output: Path) -> float:
    """Seconds of one run."""
    command = (
        sys.executable, "-m", "dnaannot", "genes", str(genome), "-o", str(output),
        "--model", model, "--device", device, "--quiet",
    )  # fmt: skip
    return run_together(Contestant(device, 0, (command,), tuple(OURS.items()))).seconds


def genes_in(path: Path) -> set[tuple[str, ...]]:
    """Each gene's coding exons, without their scores."""
    exons: dict[str, list[str]] = {}
    for text in path.read_text().splitlines():
        columns = text.split("\t")
        if len(columns) == 9 and columns[2] == "CDS":
            parent = columns[8].partition("Parent=")[2].partition(";")[0]
            exons.setdefault(parent, []).append(" ".join((*columns[3:5], columns[6], columns[7])))
    return set(map(tuple, map(sorted, exons.values())))
