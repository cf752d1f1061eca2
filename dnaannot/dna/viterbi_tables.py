"""A grammar and its weights laid out for the Viterbi kernels."""

from __future__ import annotations

import numpy as np

from dnaannot.dna.grammar import Grammar
from dnaannot.dna.viterbi_kernels import ENTERED_AT_GAP, Tables


def build_tables(grammar: Grammar, weights: np.ndarray) -> Tables:
    """Tables of a grammar and its weights (P,).

    Raises:
        ValueError: if an intron state has other ways in than one jump and its own loop.
    """
    states = len(grammar.states)
    targets = grammar.edges[:, 1].astype(int)
    donor, intron = grammar.jumps[:, 0], grammar.jumps[:, 1]
    _check_jumps(grammar)
    branching = np.bincount(targets, minlength=states) > 1
    branching[intron] = False
    jump_into = np.full(states, -1, np.int8)
    jump_into[intron] = np.arange(len(intron))
    runs, run = np.unique(
        np.stack((grammar.label_of_state[intron], grammar.inner_pair), axis=1).astype(int),
        axis=0,
        return_inverse=True,
    )
    weights = weights.astype(np.float64)
    return Tables(
        label=np.append(grammar.label_of_state, np.uint8(0)),
        most_pointers=int(branching.sum()) + states,
        jump_into=jump_into,
        donor=donor.astype(np.uint8),
        intron=intron.astype(np.uint8),
        enter_weight=weights[grammar.jump_pair] - weights[grammar.inner_pair],
        run=run.reshape(-1).astype(np.uint8),
        run_label=runs[:, 0].astype(np.uint8),
        run_weight=weights[runs[:, 1]],
        opens=grammar.opens,
        closes=grammar.closes,
        emerges=grammar.emerges,
        spans=grammar.spans,
        begin_rule=grammar.begin_rule,
    )


def _check_jumps(grammar: Grammar) -> None:
    jumps = list(zip(grammar.jumps.tolist(), grammar.inner_pair.tolist(), strict=True))
    introns = [intron for (_, intron), _ in jumps]
    stays = [((intron, intron), pair) for (_, intron), pair in jumps]
    edges = zip(map(tuple, grammar.edges.tolist()), grammar.edge_pair.tolist(), strict=True)
    into_introns = [(edge, pair) for edge, pair in edges if edge[1] in introns]
    if sorted(into_introns) != sorted(stays) or set(np.flatnonzero(grammar.emerges)) - set(introns):
        raise ValueError(
            "an intron state must be entered by one jump and by its own loop, of one weight"
        )
    if len(jumps) > ENTERED_AT_GAP or len(grammar.states) > 255:
        raise ValueError("at most 16 jumps and 255 states")
