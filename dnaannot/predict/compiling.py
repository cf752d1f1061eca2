"""Kernels compiled by a process of its own, beside what the first run has to do meanwhile.

Numba compiles one function after the other and keeps the result on disk. On the first run of an
installation a second process compiles what comes last, the decoders, while this one imports,
reads, scores and compiles the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

_child: subprocess.Popen[bytes] | None = None


def compile_ahead() -> None:
    """Begin to compile the kernels of the decoders, if they are not there and can be kept."""
    global _child
    if _child is None and not is_compiled():
        code = f"from {__name__} import compile_decoders; compile_decoders()"
        paths = os.pathsep.join(filter(None, sys.path))
        _child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # an interrupt here is not one there
        )


def await_compiled() -> None:
    """Wait for what `compile_ahead` began; whatever became of it, what lacks is compiled here."""
    global _child
    if _child is not None:
        _child.wait()
        _child = None


def is_compiled() -> bool:
    """Whether the kernels are on disk, or cannot be kept there."""
    from dnaannot.dna import forward_backward_kernels as kernels

    if kernels.pass_back.stats.cache_path is None:
        return True
    try:
        # empty where what is kept is of another source or another Numba
        return bool(kernels.pass_back._cache._cache_file._load_index())
    except AttributeError:  # no public way to ask; a Numba that has moved it compiles here
        return True


def compile_decoders() -> None:
    """Run the decoders on a few bases; posteriors last, which `is_compiled` looks for."""
    from dnaannot.dna.grammar import LABELS, gene_grammar, position_words
    from dnaannot.dna.posterior import posteriors
    from dnaannot.dna.viterbi import best_path

    grammar = gene_grammar()
    weights = np.zeros(len(grammar.pairs), np.float32)
    words = position_words(np.zeros(4, np.uint8))
    emissions = np.zeros((4, len(LABELS)), np.float32)
    states, _ = best_path(grammar, weights, words, emissions)
    for _ in posteriors(grammar, weights, [(words, emissions, states)]):
        pass
