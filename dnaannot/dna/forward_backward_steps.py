"""Steps for the forward-backward kernels where every label is allowed."""

from __future__ import annotations

import threading

import numpy as np

from dnaannot.dna.forward_backward_tables import Model, Steps, steps_of
from dnaannot.dna.kinds import ANYWHERE, START, Kinds


class OpenSteps:
    """Steps into the bases of any number of sequences, by kind of position.

    Those from states that no path is in are left out, which changes no sum.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._lands = np.zeros(len(model.label_of_state), bool)
        self._lands[model.jump_target] = True
        bits = int(np.bitwise_or.reduce(model.rule | model.rule_too))
        edges = np.stack((model.source, model.target), axis=1)
        self._kinds = Kinds(edges, self._lands, bits, self._open_edges)
        self._lock = threading.Lock()
        self._known = self._list_kinds()

    def into(self, words: np.ndarray, at_start: bool) -> Steps:
        """Steps into the bases with `words` (L,); see `list_steps`."""
        kinds = np.empty(len(words), np.uint16)
        self._kinds.classify(words, at_start, ANYWHERE, kinds)
        with self._lock:
            if len(self._known.indptr) <= len(self._kinds.found):
                self._known = self._list_kinds()
        return self._known._replace(classes=kinds.astype(np.int64))

    def _open_edges(self, word: np.uint32) -> tuple[np.ndarray, bool]:
        """For `Kinds`."""
        model = self._model
        is_open = ((model.rule & word) != 0) & ((model.rule_too & word) != 0)
        return is_open & (model.weight > -np.inf), bool(word == START)

    def _list_kinds(self) -> Steps:
        """Steps of all kinds that are known, of no sequence."""
        model, found = self._model, list(self._kinds.found)  # other threads add to it
        edges = np.zeros((len(found), len(model.source)), bool)
        states = np.zeros((len(found), len(self._lands)), bool)
        for kind, (usable, is_anything) in enumerate(found):
            edges[kind] = usable
            states[kind] = self._lands | is_anything
            states[kind, model.target[usable]] = True
        return steps_of(model, np.empty(0, np.int64), edges, states)
