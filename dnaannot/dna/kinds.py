"""Kinds of position in a sequence: which edges of a grammar can be taken there.

Most edges whose rule holds at a position come from states that no path is in, which a few
positions before tell. What is left are some hundred sets of edges, learnt as they are met.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from dnaannot.dna.compiled import kernel
from dnaannot.dna.grammar import GAP_AFTER, GAP_FIRST

GAP_BITS = GAP_FIRST | GAP_AFTER
_GAP_SHIFT = GAP_AFTER.bit_length() - 1
_REACH = 3
"""Positions before one that tell where a path into it may come from."""

START = 0
"""Stands for the word at the first base of a sequence: no edge leads there."""
ANYWHERE = 0
"""The node where a path may be in any state."""
_MOST = (1 << 15) - 2
"""Nodes and kinds: both stand in one int32."""


class Kinds:
    """Kinds of position, for any number of sequences and threads.

    A node stands for the states that a path may be in: (`_REACH` + 1, S) bool, of which row r
    are those judging by the words of the last r positions.

    Args:
        edges: (E, 2) states, from and to.
        always: (S,) bool, states that a path may be in anywhere.
        bits: all that rules look at of a word.
        open_edges: for a word, (E,) bool which edges have their rule fulfilled, and whether a
            path may be in states there that no edge enters.

    Attributes:
        found: of each kind, (E,) bool which edges can be taken, and whether a path may be in any
            state after them.
    """

    def __init__(
        self,
        edges: np.ndarray,
        always: np.ndarray,
        bits: int,
        open_edges: Callable[[np.uint32], tuple[np.ndarray, bool]],
    ) -> None:
        self._edges, self._always, self._open_edges = edges, always, open_edges
        self._classes: list[tuple[np.ndarray, bool]] = [(np.zeros(len(edges), bool), False)]
        rules = (bits & ~GAP_BITS).bit_length()
        self._class_of_word = np.zeros((4, 1 << rules), np.int16)  # 0: not met yet
        self._nodes = [np.ones((_REACH + 1, len(always)), bool)]
        self._node_of_key = {self._nodes[0].tobytes(): ANYWHERE}
        self._onward = np.full((64, 32), -1, np.int32)  # by node and class: node << 16 | kind
        self._kind_of_key: dict[tuple[bytes, bool], int] = {}
        self._lock = threading.Lock()
        self.found: list[tuple[np.ndarray, bool]] = []

    def classify(self, words: np.ndarray, at_start: bool, node: int, kinds: np.ndarray) -> int:
        """Fill `kinds` (n,) uint16 of consecutive positions; returns the node after them.

        Args:
            words: (n,) uint32.
            at_start: whether the first is that of the sequence.
            node: what the call for the positions before returned.
        """
        if at_start:
            words = np.append(np.uint32(START), words[1:])
        done = 0
        while True:
            known, node = _classify(
                self._class_of_word, self._onward, words[done:], node, kinds[done:]
            )
            done += known
            if done == len(words):
                return node
            with self._lock:
                self._learn(node, words[done])

    def _learn(self, node: int, word: np.uint32) -> None:
        """Learn what comes of a word after a node."""
        states, number = self._nodes[node], self._class_of(word)
        edges, anything = self._classes[number]
        usable = edges & states[:, self._edges[:, 0]]
        after = np.ones_like(states)
        if not anything:
            after[1:] = self._always
            rows, taken = np.nonzero(usable[:-1])
            after[rows + 1, self._edges[taken, 1]] = True
        if max(len(self._nodes), len(self.found)) > _MOST:
            raise ValueError("a grammar of more kinds of position than can be numbered")
        following = self._node_of_key.setdefault(after.tobytes(), len(self._nodes))
        self._nodes += [after] if following == len(self._nodes) else []
        onward = self._onward
        grown = np.where(np.less((following, number), onward.shape), 0, onward.shape)
        if grown.any():
            onward = np.pad(onward, [(0, grown[0]), (0, grown[1])], constant_values=-1)
        onward[node, number] = following << 16 | self._kind_of(usable[-1], anything)
        self._onward = onward

    def _class_of(self, word: np.uint32) -> int:
        """Number of what is open at a word."""
        at = int(word) >> _GAP_SHIFT, int(word) & (self._class_of_word.shape[1] - 1)
        if not self._class_of_word[at]:
            self._class_of_word[at] = len(self._classes)
            self._classes.append(self._open_edges(word))
        return int(self._class_of_word[at])

    def _kind_of(self, usable: np.ndarray, anything: bool) -> int:
        kind = self._kind_of_key.setdefault((usable.tobytes(), anything), len(self.found))
        self.found += [(usable, anything)] if kind == len(self.found) else []
        return kind


@kernel()
def _classify(class_of_word, onward, words, node, kinds):
    """Fill `kinds` (n,) of words (n,) from a node on, as far as they are known.

    Returns how many are, and the node after them.
    """
    rules = np.uint32(class_of_word.shape[1] - 1)
    for i in range(len(words)):
        number = class_of_word[words[i] >> np.uint32(_GAP_SHIFT), words[i] & rules]
        # another thread may have learnt a class since `onward` was made
        step = onward[node, number] if number < onward.shape[1] else np.int32(-1)
        if step < 0:
            return i, node
        kinds[i] = step & 0xFFFF
        node = np.int64(step >> 16)
    return len(words), node
