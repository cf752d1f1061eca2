"""What the posteriors of a decoded path need to know of the path: steps, jumps, ends of introns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnaannot.dna.forward_backward_steps import OpenSteps
from dnaannot.dna.forward_backward_tables import Model, build_model
from dnaannot.dna.grammar import Grammar


class PathModel(NamedTuple):
    """A grammar with weights as `dnaannot.dna.posterior` reads them: S states.

    Attributes:
        model: as the kernels take it.
        steps: learnt along all sequences.
        step_score: (S, S) score of each step between states.
        is_jump: (S, S) whether it is a jump.
        ends_intron: (S,) whether an intron may end at a base in the state.
    """

    model: Model
    steps: OpenSteps
    step_score: np.ndarray
    is_jump: np.ndarray
    ends_intron: np.ndarray


def path_model(grammar: Grammar, weights: np.ndarray) -> PathModel:
    """What posteriors need of a grammar and its weights (P,), whatever the sequence."""
    model = build_model(grammar, weights)
    return PathModel(model, OpenSteps(model), *step_tables(model), intron_ends(model))


def step_tables(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """(S, S) score of each step between states, 0 if it has none, and whether it is a jump."""
    n_states = len(model.label_of_state)
    scores, is_jump = np.zeros((n_states, n_states)), np.zeros((n_states, n_states), bool)
    scores[model.source, model.target] = model.weight
    scores[model.jump_source, model.jump_target] = model.jump_weight
    is_jump[model.jump_source, model.jump_target] = True
    return scores, is_jump


def intron_ends(model: Model) -> np.ndarray:
    """(S,) whether an intron state comes before the state, intergenic and itself aside."""
    ends, inside = np.zeros((2, len(model.label_of_state)), bool)
    inside[model.jump_target] = True
    ends[model.target[inside[model.source]]] = True
    ends[0] = False
    return ends & ~inside


def joining_states(model: Model, words: np.ndarray, states: np.ndarray) -> np.ndarray:
    """(S,) the states from which edges lead to the last of `states` (n,) over their labels.

    Args:
        words: (n,) of the same bases.
    """
    labels = model.label_of_state
    joining = np.arange(len(labels)) == states[-1]
    for word, before in zip(words[:0:-1], states[-2::-1], strict=True):
        taken = joining[model.target] & ((word & model.rule) != 0) & ((word & model.rule_too) != 0)
        taken &= labels[model.source] == labels[before]
        joining = np.zeros(len(labels), bool)
        joining[model.source[taken]] = True
    return joining


def at_donor(values: np.ndarray, skipped: np.ndarray) -> np.ndarray:
    """Values (..., R) where those inside a jump are that of its donor."""
    rows = np.arange(len(skipped))
    return values[..., np.maximum.accumulate(np.where(skipped, 0, rows))]


def at_landing(values: np.ndarray, skipped: np.ndarray) -> np.ndarray:
    """Values (R,) where those inside a jump are that of the base where it lands."""
    rows = np.where(skipped, len(values) - 1, np.arange(len(values)))
    return values[np.minimum.accumulate(rows[::-1])[::-1]]
