from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

COMPILE = """
from dnaannot.dna import forward_backward_kernels
from dnaannot.predict.compiling import await_compiled, compile_ahead, is_compiled
assert not is_compiled()
compile_ahead()
await_compiled()
assert is_compiled()
compile_ahead()
from dnaannot.predict import compiling
assert compiling._child is None
"""

DECODE = """
import hashlib
import numpy as np
from dnaannot.dna.grammar import gene_grammar, position_words
from dnaannot.dna.posterior import posteriors
from dnaannot.dna.viterbi import best_path
rng = np.random.default_rng(1)
grammar, length = gene_grammar(), 4000
weights = rng.normal(0, 1, len(grammar.pairs)).astype(np.float32)
words = position_words(rng.integers(0, 4, length).astype(np.uint8))
emissions = rng.normal(0, 3, (length, len(grammar.labels))).astype(np.float32)
states, _ = best_path(grammar, weights, words, emissions)
(found,) = posteriors(grammar, weights, [(words, emissions, states)], labels=True)
for values in (states, *found):
    print(hashlib.md5(values.tobytes()).hexdigest())
"""


def said(code, cache):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, check=True, capture_output=True).stdout


def test_another_process_leaves_on_disk_what_rounds_as_the_run_that_compiles(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        loaded, compiled = pool.map(
            said, (COMPILE + DECODE, DECODE), (tmp_path / "by another", tmp_path / "by itself")
        )
    assert loaded == compiled != b""
