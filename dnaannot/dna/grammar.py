"""The gene grammar as data: labels, states, edges and the sequence rules that edges obey.

The encoder scores 17 labels a base; the states refine them with what must be remembered so
that no path spells an in-frame stop, an exon without its splice sites or a gene without its
start and stop. A path is scored by the label of each state it visits and by a weight for
each pair of consecutive labels, tied between the strands.

Reading the plus strand left to right, a codon state remembers whether a stop may follow
(`c1_T`, `c2_TA`, `c2_TG`); the minus strand reads the same gene from its 3' end, where TTA,
CTA and TCA are the stops (`r1_T`, `r1_C`, `r2_s`). Introns keep the memory of the codon that
they interrupt. Start and stop codons are not split by introns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from dnaannot.dna.sequence import GAP, A, C, G, T

# --- labels ---------------------------------------------------------------------------------

_STRAND_LABELS = ("cds0", "cds1", "cds2", "start", "stop", "donor", "intron", "acceptor")
LABELS: tuple[str, ...] = (
    "intergenic",
    *(name + "+" for name in _STRAND_LABELS),
    *(name + "-" for name in _STRAND_LABELS),
)
"""Labels of a base. `cds0` to `cds2` are the position in the codon; `start` is the A of the
start codon (in place of `cds0`), `stop` the last base of the stop codon (in place of `cds2`);
`donor` is the first base of an intron and `acceptor` its last, in the gene's direction."""

LABEL_INDEX: dict[str, int] = {name: index for index, name in enumerate(LABELS)}
INTERGENIC = 0
CDS0, CDS1, CDS2, START, STOP, DONOR, INTRON, ACCEPTOR = range(1, 9)
"""Plus-strand labels; a minus-strand label is its plus-strand twin + `MINUS`."""
MINUS = 8
UNKNOWN = 255
"""Stands for a label that is not known: it takes no part in a loss."""
IS_CODING = np.array([name[:3] in ("cds", "sta", "sto") for name in LABELS])
"""(17,) whether a label belongs to the CDS."""

GENE_BEGINS = ("intergenic", "start+")
"""The label pair with which a gene begins, and on the minus strand ends."""

MIRRORED_LABEL = np.array([0, *range(1 + MINUS, 1 + 2 * MINUS), *range(1, 1 + MINUS)], np.uint8)
"""(17,) label of the same base on the reverse complement."""


def reverse_complement_labels(labels: np.ndarray) -> np.ndarray:
    """Labels (L,) uint8 of the reverse complement; `UNKNOWN` stays."""
    known = labels != UNKNOWN
    mirrored = np.where(known, MIRRORED_LABEL[np.where(known, labels, 0)], UNKNOWN)
    return mirrored[::-1].astype(np.uint8)


# --- what is read at a position -------------------------------------------------------------

_RULES = (
    "any", "base",  # any position; any but a gap
    "T", "C", "A", "G", "notT", "notTC", "notA", "notAG", "TC",
    # codons at their first base; donor+ and acceptor- at their first base, the others at their last
    "atg", "stop", "donor+", "acceptor+",
    "cat", "rstop", "acceptor-", "donor-",
)  # fmt: skip
RULE_BIT: dict[str, int] = {name: 1 << index for index, name in enumerate(_RULES)}
GAP_FIRST = 1 << 30
GAP_AFTER = 1 << 29
"""Bits of a position word that are no rule: the first base of a gap, the first base after one."""


def position_words(codes: np.ndarray) -> np.ndarray:
    """Words (L,) uint32 that say which rules hold at each position of codes (L,).

    An edge into a position may be taken if its rule's bit is set there. Dinucleotide and codon
    rules look at the neighbours inside `codes`; bases of unknown kind (N) satisfy only the
    rules that forbid something.
    """
    at = np.full(len(codes) + 3, GAP, np.uint16)
    at[1:-2] = codes
    words = _words_by_neighbours()[((at[:-3] * 6 + at[1:-2]) * 6 + at[2:-1]) * 6 + at[3:]]
    words[:1] &= np.uint32(~(GAP_FIRST | GAP_AFTER) & 0xFFFFFFFF)
    return words


@cache
def _words_by_neighbours() -> np.ndarray:
    """(6 ** 4,) word of a base, by the codes of the base before it, its own and the next two."""
    before, b0, b1, b2 = (grid.ravel() for grid in np.indices((6, 6, 6, 6)))
    base = b0 != GAP
    rules = {
        "any": np.ones(len(base), bool),
        "base": base,
        "T": b0 == T,
        "C": b0 == C,
        "A": b0 == A,
        "G": b0 == G,
        "notT": base & (b0 != T),
        "notTC": base & (b0 != T) & (b0 != C),
        "notA": base & (b0 != A),
        "notAG": base & (b0 != A) & (b0 != G),
        "TC": (b0 == T) | (b0 == C),
        "atg": (b0 == A) & (b1 == T) & (b2 == G),
        "stop": (b0 == T) & (((b1 == A) & ((b2 == A) | (b2 == G))) | ((b1 == G) & (b2 == A))),
        "donor+": (b0 == G) & ((b1 == T) | (b1 == C)),
        "acceptor+": (before == A) & (b0 == G),
        "cat": (b0 == C) & (b1 == A) & (b2 == T),
        "rstop": (b2 == A) & (((b0 == T) & ((b1 == T) | (b1 == C))) | ((b0 == C) & (b1 == T))),
        "acceptor-": (b0 == C) & (b1 == T),
        "donor-": ((before == A) | (before == G)) & (b0 == C),
    }
    words = np.zeros(len(base), np.uint32)
    for name, holds in rules.items():
        words |= np.where(holds, np.uint32(RULE_BIT[name]), np.uint32(0))
    words[~base & (before != GAP)] |= np.uint32(GAP_FIRST)
    words[base & (before == GAP)] |= np.uint32(GAP_AFTER)
    return words


# --- the grammar ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Grammar:
    """States and edges of a label grammar, as arrays.

    Attributes:
        labels: names of the K labels.
        states: names of the S states.
        label_of_state: (S,) uint8.
        edges: (E, 2) int16 (from, to) sorted by `to`, then `from`.
        edge_rule: (E,) uint32, the bit that the word at the `to` position must have.
        edge_pair: (E,) int16, index of the label-pair weight.
        pairs: the P tied label pairs, each as (from label, to label) on the plus strand.
        jumps: (J, 2) int16 (donor, intron) state pairs: the only way into an intron state;
            they skip `jump_bases` bases, all of which carry the intron label.
        jump_pair, inner_pair: (J,) int16, weights of the pair (donor, intron), used once, and
            of (intron, intron), used `jump_bases - 1` times.
        min_intron: least length of an intron in bases, both splice sites included.
        opens: (S,) bool, the state may follow intergenic at the first base after a gap.
        closes: (S,) bool, intergenic may follow the state at the first base of a gap.
        emerges: (S,) bool, the intron state may follow intergenic at the first base of a gap;
            one a phase, so that the unknown start of a gene counts once.
        spans: (S,) bool, intergenic may follow the intron state at the first base after a gap.
        begins, ends: (S,) bool, states in which a path may begin or end at the two ends of a
            sequence; it may also end inside a jump.
        begin_rule: (S,) uint32, the bit that the word must have where a path begins in the
            state, or opens it after a gap.
    """

    labels: tuple[str, ...]
    states: tuple[str, ...]
    label_of_state: np.ndarray
    edges: np.ndarray
    edge_rule: np.ndarray
    edge_pair: np.ndarray
    pairs: tuple[tuple[str, str], ...]
    jumps: np.ndarray
    jump_pair: np.ndarray
    inner_pair: np.ndarray
    min_intron: int
    opens: np.ndarray
    closes: np.ndarray
    emerges: np.ndarray
    spans: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    begin_rule: np.ndarray

    @property
    def jump_bases(self) -> int:
        """Bases that a jump advances: the first `min_intron - 2` intron bases."""
        return self.min_intron - 2


_CODON_EDGES = {
    # plus strand: after `memory`, the state reached and the rule on the base read
    "c3": (("c1_T", "T"), ("c1_x", "notT"), ("t1", "stop")),
    "c1_T": (("c2_TA", "A"), ("c2_TG", "G"), ("c2_x", "notAG")),
    "c1_x": (("c2_x", "base"),),
    "c2_TA": (("c3", "notAG"),),
    "c2_TG": (("c3", "notA"),),
    "c2_x": (("c3", "base"),),
    # minus strand, left to right: codon positions 2, 1, 0
    "r3": (("r1_T", "T"), ("r1_C", "C"), ("r1_x", "notTC"), ("k1", "cat")),
    "r1_T": (("r2_s", "TC"), ("r2_x", "notTC")),
    "r1_C": (("r2_s", "T"), ("r2_x", "notT")),
    "r1_x": (("r2_x", "base"),),
    "r2_s": (("r3", "notA"),),
    "r2_x": (("r3", "base"),),
}
_LABEL_OF_NAME = {
    "ig": "intergenic", "s1": "start+", "s2": "cds1+", "t1": "cds0+", "t2": "cds1+", "t3": "stop+",
    "z1": "stop-", "z2": "cds1-", "k1": "cds2-", "k2": "cds1-", "k3": "start-",
}  # fmt: skip
_FIXED_EDGES = (
    ("ig", "ig", "any"),
    ("ig", "s1", "atg"), ("s1", "s2", "base"), ("s2", "c3", "base"),
    ("t1", "t2", "base"), ("t2", "t3", "base"), ("t3", "ig", "any"),
    ("ig", "z1", "rstop"), ("z1", "z2", "base"), ("z2", "r3", "base"),
    ("k1", "k2", "base"), ("k2", "k3", "base"), ("k3", "ig", "any"),
)  # fmt: skip


_OPENING_RULES = {
    "c1_T": "T", "c1_x": "notT", "c2_x": "base", "c3": "base",
    "r1_T": "T", "r1_C": "C", "r1_x": "notTC", "r2_x": "base", "r3": "base",
    "t1": "stop", "k1": "cat",
}  # fmt: skip
_BEGIN_RULES = {**_OPENING_RULES, "s1": "atg", "z1": "rstop"}


def _codon_label(state: str) -> str:
    if state[0] == "c":
        return f"cds{int(state[1]) - 1}+"
    return f"cds{3 - int(state[1])}-"


def _mirrored(label: str) -> str:
    return LABELS[MIRRORED_LABEL[LABEL_INDEX[label]]]


def _tied(source: str, target: str) -> tuple[str, str]:
    """The plus-strand pair that shares its weight with (source, target)."""
    if source.endswith("-") or target.endswith("-"):
        return _mirrored(target), _mirrored(source)
    return source, target


def gene_grammar(min_intron: int = 20) -> Grammar:
    """The grammar of protein-coding genes on both strands (standard genetic code).

    Args:
        min_intron: least intron length in bases, at least 4.

    Raises:
        ValueError: if `min_intron` is under 4.
    """
    if min_intron < 4:
        raise ValueError(f"min_intron must be at least 4, not {min_intron}")
    label = dict(_LABEL_OF_NAME)
    edges: list[tuple[str, str, str]] = list(_FIXED_EDGES)
    jumps: list[tuple[str, str]] = []
    for memory, following in _CODON_EDGES.items():
        label[memory] = _codon_label(memory)
        strand = "+" if memory[0] == "c" else "-"
        # left to right, a minus-strand intron begins with its acceptor
        first, last = ("donor", "acceptor") if strand == "+" else ("acceptor", "donor")
        enter, inside, leave = (f"{memory}:{part}" for part in (first, "intron", last))
        label[enter], label[inside], label[leave] = first + strand, "intron" + strand, last + strand
        edges += [(memory, enter, first + strand), (inside, inside, "any")]
        edges += [(inside, leave, last + strand)]
        jumps.append((enter, inside))
        for target, rule in following:
            edges += [(memory, target, rule), (leave, target, rule)]
    states = tuple(label)
    index = {state: number for number, state in enumerate(states)}
    pairs = sorted({_tied(label[a], label[b]) for a, b in [e[:2] for e in edges] + jumps})
    pair_index = {pair: number for number, pair in enumerate(pairs)}
    edges.sort(key=lambda edge: (index[edge[1]], index[edge[0]]))

    def pair_of(source: str, target: str) -> int:
        return pair_index[_tied(label[source], label[target])]

    is_intron = np.array([state.endswith(":intron") for state in states])
    is_codon = np.array([state in _CODON_EDGES for state in states])
    opens = np.array([state in _OPENING_RULES for state in states])
    # an intron that nothing is known of but its phase: one state, so that it counts once
    unmarked = np.array([state[1:] in ("3:intron", "1_x:intron", "2_x:intron") for state in states])
    whole = {
        state: np.array([name == state for name in states])
        for state in ("ig", "s1", "z1", "t3", "k3")
    }
    return Grammar(
        labels=LABELS,
        states=states,
        label_of_state=np.array([LABEL_INDEX[label[state]] for state in states], np.uint8),
        edges=np.array([(index[a], index[b]) for a, b, _ in edges], np.int16),
        edge_rule=np.array([RULE_BIT[rule] for *_, rule in edges], np.uint32),
        edge_pair=np.array([pair_of(a, b) for a, b, _ in edges], np.int16),
        pairs=tuple(pairs),
        jumps=np.array([(index[a], index[b]) for a, b in jumps], np.int16),
        jump_pair=np.array([pair_of(a, b) for a, b in jumps], np.int16),
        inner_pair=np.array([pair_of(b, b) for _, b in jumps], np.int16),
        min_intron=min_intron,
        opens=opens,
        closes=is_codon,
        emerges=unmarked,
        spans=is_intron,
        begins=opens | unmarked | whole["ig"] | whole["s1"] | whole["z1"],
        ends=is_codon | is_intron | whole["ig"] | whole["t3"] | whole["k3"],
        begin_rule=np.array(
            [RULE_BIT[_BEGIN_RULES.get(state, "any")] for state in states], np.uint32
        ),
    )
