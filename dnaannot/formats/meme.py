"""Motifs as a file in MEME's minimal format, which TOMTOM, FIMO and most others read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dnaannot.formats.output import atomic_output

_SITES = 100
"""Sites that a matrix is said to be of: it is of none, and programs add pseudocounts by this."""


def write_meme(path: str | Path, motifs: Iterable[tuple[str, str, np.ndarray]]) -> None:
    """Write motifs, as (name, other name, frequencies (W, 4) of A, C, G and T).

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_output(path) as stream:
        stream.write("MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n")
        stream.write("Background letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n")
        for name, other, frequencies in motifs:
            width = len(frequencies)
            stream.write(f"\nMOTIF {name} {'_'.join(other.split())}\n")
            stream.write(f"letter-probability matrix: alength= 4 w= {width} nsites= {_SITES}\n")
            stream.writelines(" ".join(f"{x:.6f}" for x in row) + "\n" for row in frequencies)
