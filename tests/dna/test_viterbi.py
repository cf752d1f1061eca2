from __future__ import annotations

import errno
import itertools
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnaannot.dna import sequence
from dnaannot.dna.grammar import (
    GAP_AFTER,
    GAP_FIRST,
    LABEL_INDEX,
    RULE_BIT,
    Grammar,
    gene_grammar,
    position_words,
    reverse_complement_labels,
)
from dnaannot.dna.transcript import Strand, read_transcripts
from dnaannot.dna.viterbi import Viterbi, best_path
from dnaannot.errors import OutputError

SEEDS = st.integers(0, 2**32 - 1)


def random_scores(grammar, length, seed, scale=1.0):
    """Weights and emissions of a random model."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=len(grammar.pairs)).astype(np.float32)
    return weights, (scale * rng.normal(size=(length, len(grammar.labels)))).astype(np.float32)


def masks(grammar, anywhere):
    """Begin and end masks: those of a whole sequence, or any state."""
    everywhere = np.ones(len(grammar.states), bool)
    return (everywhere, everywhere) if anywhere else (grammar.begins, grammar.ends)


def gap_steps(grammar, state, word):
    """States that the edges at gaps lead to from `state`."""
    if state == 0:
        for target in range(len(grammar.states)):
            opened = grammar.opens[target] and word & grammar.begin_rule[target]
            if (word & GAP_AFTER and opened) or (word & GAP_FIRST and grammar.emerges[target]):
                yield target
    elif (word & GAP_FIRST and grammar.closes[state]) or (
        word & GAP_AFTER and grammar.spans[state]
    ):
        yield 0


def best_by_enumeration(grammar, weights, words, emissions, begin, end):
    """Score and labels of the best of all paths, each spelled out."""
    length, label = len(words), grammar.label_of_state
    best = (-np.inf, [])

    def extend(path, score):
        nonlocal best
        t, state = len(path), path[-1]
        if t == length:
            if end[state]:
                best = max(best, (score, [int(label[s]) for s in path]))
            return
        for (source, target), rule, pair in zip(
            grammar.edges, grammar.edge_rule, grammar.edge_pair, strict=True
        ):
            if source == state and words[t] & rule:
                extend([*path, target], score + weights[pair] + emissions[t, label[target]])
        for target in gap_steps(grammar, state, words[t]):
            extend([*path, target], score + emissions[t, label[target]])
        for (source, target), pair, inner in zip(
            grammar.jumps, grammar.jump_pair, grammar.inner_pair, strict=True
        ):
            if source == state:
                bases = min(grammar.jump_bases, length - t)
                inside = emissions[t : t + bases, label[target]].sum()
                extend(
                    [*path, *[target] * bases],
                    score + inside + weights[pair] + (bases - 1) * weights[inner],
                )

    emissions, weights = emissions.astype(np.float64), weights.astype(np.float64)
    for state in np.flatnonzero(begin & ((words[0] & grammar.begin_rule) != 0)):
        extend([state], emissions[0, label[state]])
    return best


def best_by_chain(grammar, weights, words, emissions, begin, end):
    """Score and labels of the best path, by a dictionary over states and explicit intron chains.

    A jump of m bases is a chain of m - 1 further states (jump, 1) .. (jump, m - 1).
    """
    label = {state: int(label) for state, label in enumerate(grammar.label_of_state)}
    steps = {}
    for (a, b), rule, pair in zip(
        grammar.edges.tolist(), grammar.edge_rule, grammar.edge_pair, strict=True
    ):
        steps.setdefault(a, []).append((b, int(rule), float(weights[pair])))
    last = {}
    any_base = RULE_BIT["any"]
    for j, (donor, intron) in enumerate(grammar.jumps.tolist()):
        chain = [donor, *[(j, k) for k in range(1, grammar.jump_bases)], intron]
        for k, (a, b) in enumerate(itertools.pairwise(chain)):
            pair = grammar.inner_pair[j] if k else grammar.jump_pair[j]
            steps.setdefault(a, []).append((b, any_base, float(weights[pair])))
            label[b] = label[intron]
            last[b] = intron
    front = {
        state: (float(emissions[0, label[state]]), None)
        for state in np.flatnonzero(begin & ((words[0] & grammar.begin_rule) != 0)).tolist()
    }
    for t in range(1, len(words)):
        word, following = int(words[t]), {}
        for state, (score, path) in front.items():
            ways = [(b, w) for b, rule, w in steps.get(state, ()) if word & rule]
            if isinstance(state, int):
                ways += [(b, 0.0) for b in gap_steps(grammar, state, word)]
            for target, weight in ways:
                candidate = score + weight + float(emissions[t, label[target]])
                if target not in following or candidate > following[target][0]:
                    following[target] = candidate, (label[state], path)
        front = following
    score, state = max((front[s][0], str(s)) for s in front if end[last.get(s, s)])
    found = next(s for s in front if str(s) == state)
    labels, path = [label[found]], front[found][1]
    while path is not None:
        labels.append(path[0])
        path = path[1]
    return score, labels[::-1]


def labels_as_scores(labels):
    """Emissions that score 10 for the given label of each base and 0 for others."""
    return 10 * np.eye(len(LABEL_INDEX), dtype=np.float32)[labels]


def ungrouped(grammar, size, seed):
    """Scores that lead through many genes: what follows a base's label is scored at random."""
    weights, emissions = random_scores(grammar, size, seed, scale=2.0)
    emissions[:, LABEL_INDEX["intergenic"]] -= 1.0
    return weights, emissions


@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_equals_enumeration(random_codes, seed, anywhere):
    grammar = gene_grammar(4 + seed % 3)
    codes = random_codes(seed, 1 + seed % 8, gap=2 if seed % 2 else 0, unknown=0.1)
    words = position_words(codes)
    weights, emissions = random_scores(grammar, len(codes), seed)
    begin, end = masks(grammar, anywhere)
    states, score = best_path(grammar, weights, words, emissions, begin, end)
    expected, labels = best_by_enumeration(grammar, weights, words, emissions, begin, end)
    assert score == pytest.approx(expected, abs=1e-5)
    assert grammar.label_of_state[states].tolist() == labels


@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize("min_intron", [4, 5, 9, 20])
@pytest.mark.parametrize("gap", [0, 3, 30])
def test_equals_a_chain_of_intron_states(random_codes, min_intron, gap, anywhere):
    grammar = gene_grammar(min_intron)
    codes = random_codes(min_intron + gap, 200, gap=gap, unknown=0.02)
    words = position_words(codes)
    weights, emissions = ungrouped(grammar, len(codes), seed=gap)
    begin, end = masks(grammar, anywhere)
    states, score = Viterbi(grammar, weights, block=64).best_path(words, emissions, begin, end)
    expected, labels = best_by_chain(grammar, weights, words, emissions, begin, end)
    assert score == pytest.approx(expected, abs=1e-4)
    assert grammar.label_of_state[states].tolist() == labels


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, length=st.integers(1, 60), min_intron=st.integers(4, 12))
def test_short_sequences_equal_a_chain_of_intron_states(
    path_score, accepts, random_codes, seed, length, min_intron
):
    grammar = gene_grammar(min_intron)
    codes = random_codes(seed, length, gap=seed % 5, unknown=0.05)
    words = position_words(codes)
    weights, emissions = ungrouped(grammar, length, seed)
    states, score = Viterbi(grammar, weights, block=16).best_path(words, emissions)
    expected, labels = best_by_chain(
        grammar, weights, words, emissions, grammar.begins, grammar.ends
    )
    assert score == pytest.approx(expected, abs=1e-4)
    assert grammar.label_of_state[states].tolist() == labels
    assert path_score(grammar, weights, words, emissions, states) == pytest.approx(score, abs=1e-4)
    assert accepts(grammar, grammar.label_of_state[states], codes)


def homogeneous(labels):
    """A grammar of one state a label, in which any may follow any."""
    edges = np.array([(a, b) for b in range(labels) for a in range(labels)], np.int16)
    no, yes = np.zeros(labels, bool), np.ones(labels, bool)
    return Grammar(
        labels=tuple(map(str, range(labels))),
        states=tuple(map(str, range(labels))),
        label_of_state=np.arange(labels, dtype=np.uint8),
        edges=edges,
        edge_rule=np.full(len(edges), RULE_BIT["any"], np.uint32),
        edge_pair=np.arange(len(edges), dtype=np.int16),
        pairs=tuple((str(a), str(b)) for a, b in edges),
        jumps=np.zeros((0, 2), np.int16),
        jump_pair=np.zeros(0, np.int16),
        inner_pair=np.zeros(0, np.int16),
        min_intron=0,
        opens=no,
        closes=no,
        emerges=no,
        spans=no,
        begins=yes,
        ends=yes,
        begin_rule=np.full(labels, RULE_BIT["any"], np.uint32),
    )


@pytest.mark.parametrize("labels", [1, 2, 9])
def test_equals_pytorch_crf(labels):
    torch = pytest.importorskip("torch")
    torchcrf = pytest.importorskip("torchcrf")
    grammar = homogeneous(labels)
    weights, emissions = random_scores(grammar, 300, seed=labels)
    crf = torchcrf.CRF(labels, batch_first=True)
    with torch.no_grad():
        crf.start_transitions.zero_()
        crf.end_transitions.zero_()
        crf.transitions.copy_(torch.from_numpy(weights).reshape(labels, labels).T)
        (expected,) = crf.decode(torch.from_numpy(emissions)[None])
    words = position_words(np.zeros(300, np.uint8))
    states, _ = Viterbi(grammar, weights, block=50).best_path(words, emissions)
    assert states.tolist() == expected


def cut(words, emissions, borders):
    borders = [0, *sorted(borders), len(words)]
    return [(words[a:b], emissions[a:b]) for a, b in itertools.pairwise(borders)]


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, borders=st.lists(st.integers(0, 700), max_size=20))
def test_chunks_do_not_matter(states_and_score, random_codes, seed, borders):
    grammar = gene_grammar(20)
    words = position_words(random_codes(seed, 700, gap=25, unknown=0.02))
    weights, emissions = ungrouped(grammar, 700, seed)
    viterbi = Viterbi(grammar, weights, block=64)
    whole, score = viterbi.best_path(words, emissions)
    states, again = states_and_score(viterbi.decode(cut(words, emissions, borders)))
    assert states.tolist() == whole.tolist()
    assert again == score


def test_chunks_of_one_base(states_and_score):
    grammar = gene_grammar(20)
    words = position_words(np.random.default_rng(3).integers(0, 5, 500).astype(np.uint8))
    weights, emissions = ungrouped(grammar, 500, seed=3)
    viterbi = Viterbi(grammar, weights, block=100)
    whole, score = viterbi.best_path(words, emissions)
    states, again = states_and_score(viterbi.decode(cut(words, emissions, range(1, 500))))
    assert states.tolist() == whole.tolist()
    assert again == score


@pytest.mark.parametrize("block", [1, 7, 18, 100, 999, 65_536])
def test_blocks_do_not_matter(random_codes, block):
    grammar = gene_grammar(20)
    words = position_words(random_codes(block, 1000, gap=40))
    weights, emissions = ungrouped(grammar, 1000, seed=1)
    states, score = Viterbi(grammar, weights, block=block).best_path(words, emissions)
    expected, expected_score = Viterbi(grammar, weights, block=250).best_path(words, emissions)
    assert states.tolist() == expected.tolist()
    assert score == pytest.approx(expected_score, rel=1e-9)


def test_ten_megabases_stream_bit_for_bit(states_and_score):
    grammar, length = gene_grammar(20), 10_000_000
    rng = np.random.default_rng(10)
    words = np.tile(position_words(rng.integers(0, 5, length // 10).astype(np.uint8)), 10)
    weights = rng.normal(size=len(grammar.pairs)).astype(np.float32)
    emissions = rng.standard_normal((1_000_003, len(grammar.labels)), np.float32)
    emissions = np.concatenate([emissions] * 10)[:length]
    viterbi = Viterbi(grammar, weights)
    whole, score = viterbi.best_path(words, emissions)
    borders = np.cumsum(rng.integers(1, 400_000, 40))
    states, again = states_and_score(
        viterbi.decode(cut(words, emissions, borders[borders < length]))
    )
    assert np.array_equal(states, whole)
    assert again == score


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, length=st.integers(1, 400))
def test_reverse_complement_has_the_mirrored_path(random_codes, seed, length):
    grammar = gene_grammar(20)
    codes = random_codes(seed, length, gap=25 * (seed % 2), unknown=0.05)
    weights, emissions = ungrouped(grammar, length, seed)
    mirrored = np.empty_like(emissions)
    for label, index in LABEL_INDEX.items():
        twin = label.translate(str.maketrans("+-", "-+"))
        mirrored[:, LABEL_INDEX[twin]] = emissions[::-1, index]
    forward, score = best_path(grammar, weights, position_words(codes), emissions)
    other_strand = position_words(sequence.reverse_complement(codes))
    backward, mirrored_score = best_path(grammar, weights, other_strand, mirrored)
    assert mirrored_score == pytest.approx(score, rel=1e-6, abs=1e-4)
    labels = grammar.label_of_state
    assert reverse_complement_labels(labels[forward]).tolist() == labels[backward].tolist()


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, min_intron=st.integers(4, 40))
def test_true_labels_return_the_genes(random_locus, seed, min_intron):
    locus = random_locus(seed, min_intron)
    grammar = gene_grammar(min_intron)
    weights = np.zeros(len(grammar.pairs), np.float32)
    viterbi = Viterbi(grammar, weights, block=128)
    chunks = cut(position_words(locus.codes), labels_as_scores(locus.labels), [50, 60])
    states = list(viterbi.decode(chunks))
    assert grammar.label_of_state[np.concatenate(states)].tolist() == locus.labels.tolist()
    found = read_transcripts((grammar.label_of_state[part] for part in states), "chr")
    assert tuple(found) == locus.transcripts


GAPS = [(1000, 1060), (3000, 3100)]


@pytest.mark.parametrize("seed", range(4))
def test_decoded_genes_are_valid(accepts, seed):
    """Scores at random call many genes, and none that breaks a rule."""
    grammar = gene_grammar(20)
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, 4000).astype(np.uint8)
    codes[rng.random(4000) < 0.01] = sequence.N
    for start, end in GAPS:
        codes[start:end] = sequence.GAP
    weights, emissions = random_scores(grammar, 4000, seed)
    emissions[:, LABEL_INDEX["intergenic"]] += np.repeat(rng.normal(0, 2, 40), 100)
    states, _ = best_path(grammar, 0 * weights, position_words(codes), emissions)
    labels = grammar.label_of_state[states]
    assert accepts(grammar, labels, codes)
    genes = list(read_transcripts([labels], "chr"))
    assert len(genes) > 10
    assert {gene.strand for gene in genes} == set(Strand)
    assert any(gene.introns for gene in genes)
    for gene in genes:
        check_valid(gene, codes)


def check_valid(gene, codes):
    """What must hold of every gene, by the bases that it spells."""
    cds = gene.cds(codes)
    phase = gene.exons[0 if gene.strand is Strand.PLUS else -1].phase
    protein = sequence.translate(cds[phase:])
    assert "*" not in protein[:-1]
    if gene.has_start:
        assert phase == 0
        assert sequence.decode(cds[:3]) == "ATG"
    if gene.has_stop:
        assert (len(cds) - phase) % 3 == 0
        assert protein.endswith("*")
    for start, end in gene.introns:
        intron = codes[start:end]
        if gene.strand is Strand.MINUS:
            intron = sequence.reverse_complement(intron)
        assert len(intron) >= 20
        assert sequence.decode(intron[:2]) in ("GT", "GC")
        assert sequence.decode(intron[-2:]) == "AG"


def undecided(grammar, bases=3000):
    """A sequence that could be in an intron or intergenic until its last exon tells."""
    codes = np.full(bases, sequence.GAP, np.uint8)
    start, end = sequence.encode(b"CCATGGT"), sequence.encode(b"AGAAATAACC")
    codes[: len(start)], codes[-len(end) :] = start, end
    emissions = np.zeros((bases, len(grammar.labels)), np.float32)
    for position, label in ((2, "start+"), (5, "donor+"), (-9, "acceptor+"), (-3, "stop+")):
        emissions[position, LABEL_INDEX[label]] = 1.0
    return codes, emissions


def test_paths_that_do_not_meet_wait_in_a_file(monkeypatch):
    grammar = gene_grammar(20)
    codes, emissions = undecided(grammar)
    words, weights = position_words(codes), np.zeros(len(grammar.pairs), np.float32)
    expected, score = Viterbi(grammar, weights).best_path(words, emissions)
    (gene,) = read_transcripts([grammar.label_of_state[expected]], "chr")
    assert (gene.start, gene.end, gene.is_partial) == (2, 2998, False)
    files = []

    def counted(**options):
        files.append(make_file(**options))
        return files[-1]

    make_file = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", counted)
    viterbi = Viterbi(grammar, weights, block=64, memory=4000)
    consumed = []

    def chunks():
        for start in range(0, len(words), 100):
            consumed.append(start)
            yield words[start : start + 100], emissions[start : start + 100]

    decoding = viterbi.decode(chunks())
    parts = [next(decoding)]
    assert len(consumed) == 30
    assert len(files) == 1
    parts += list(decoding)
    assert np.concatenate(parts).tolist() == expected.tolist()
    assert files[0].closed
    _, again = viterbi.best_path(words, emissions)
    assert again == pytest.approx(score)


def test_paths_that_meet_are_yielded_early():
    grammar = gene_grammar(20)
    words = position_words(np.random.default_rng(5).integers(0, 4, 20_000).astype(np.uint8))
    weights, emissions = ungrouped(grammar, 20_000, seed=5)
    consumed = 0

    def chunks():
        nonlocal consumed
        for start in range(0, len(words), 1000):
            consumed += 1000
            yield words[start : start + 1000], emissions[start : start + 1000]

    final = 0
    for states in Viterbi(grammar, weights, block=1000).decode(chunks()):
        assert consumed - final <= 5000
        final += len(states)
    assert final == 20_000


def test_full_disk(monkeypatch):
    class FullDisk:
        def __init__(self, **_):
            pass

        def seek(self, *_):
            return 0

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(tempfile, "TemporaryFile", FullDisk)
    grammar = gene_grammar(20)
    codes, emissions = undecided(grammar)
    viterbi = Viterbi(grammar, np.zeros(len(grammar.pairs), np.float32), block=64, memory=0)
    with pytest.raises(OutputError, match=r"No space left.*TMPDIR"):
        viterbi.best_path(position_words(codes), emissions)


def test_equal_scores_take_the_lowest_predecessor():
    grammar = homogeneous(4)
    words = position_words(np.zeros(10, np.uint8))
    emissions, weights = np.zeros((10, 4), np.float32), np.zeros(16, np.float32)
    emissions[-1, 2] = 1.0
    states, score = best_path(grammar, weights, words, emissions)
    assert states.tolist() == [0] * 9 + [2]
    assert score == 1.0


def test_precision_does_not_wear_out():
    """A choice worth 0.001 is still made right after a megabase that scores a billion."""
    grammar = homogeneous(2)
    length = 1_000_000
    words = position_words(np.zeros(length, np.uint8))
    emissions = np.full((length, 2), 1000.0, np.float32)
    emissions[:, 1] += np.tile(np.float32([0.001, -0.001]), length // 2)
    states, _ = best_path(grammar, np.zeros(4, np.float32), words, emissions)
    assert np.array_equal(states, (emissions[:, 1] > 1000).astype(np.uint8))


def test_no_bases():
    grammar = gene_grammar(20)
    weights = np.zeros(len(grammar.pairs), np.float32)
    viterbi = Viterbi(grammar, weights)
    assert list(viterbi.decode([])) == []
    nothing = np.zeros(0, np.uint32), np.zeros((0, len(grammar.labels)), np.float32)
    assert list(viterbi.decode([nothing])) == []


def test_no_path_fits():
    grammar = gene_grammar(20)
    weights = np.zeros(len(grammar.pairs), np.float32)
    words = position_words(sequence.encode(b"AAAA"))
    begin = np.array([state == "c1_T" for state in grammar.states])
    with pytest.raises(ValueError, match="no path"):
        best_path(grammar, weights, words, np.zeros((4, len(grammar.labels)), np.float32), begin)


def test_one_object_decodes_in_threads(random_codes):
    from concurrent.futures import ThreadPoolExecutor

    grammar = gene_grammar(20)
    weights, emissions = ungrouped(grammar, 3000, seed=0)
    sequences = [position_words(random_codes(seed, 3000, unknown=0.02 * seed)) for seed in range(8)]
    one_by_one = [best_path(grammar, weights, words, emissions)[0] for words in sequences]
    viterbi = Viterbi(grammar, weights, block=128)
    with ThreadPoolExecutor(4) as threads:
        together = threads.map(lambda words: viterbi.best_path(words, emissions)[0], sequences)
        for alone, beside in zip(one_by_one, together, strict=True):
            assert alone.tolist() == beside.tolist()


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, data=st.data())
def test_path_score_refuses_what_the_grammar_refuses(path_score, accepts, random_locus, seed, data):
    locus, grammar = random_locus(seed, genes=1), gene_grammar(20)
    weights = np.zeros(len(grammar.pairs), np.float32)
    words, emissions = position_words(locus.codes), labels_as_scores(locus.labels)
    states, score = best_path(grammar, weights, words, emissions)
    assert path_score(grammar, weights, words, emissions, states) == score == 10 * len(states)
    changed = states.copy()
    position = data.draw(st.integers(0, len(states) - 1))
    changed[position] = data.draw(st.integers(0, len(grammar.states) - 1))
    if not accepts(grammar, grammar.label_of_state[changed], locus.codes):
        assert path_score(grammar, weights, words, emissions, changed) == -np.inf
