from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from numba.core.caching import CacheImpl

from dnaannot.dna import forward_backward_kernels
from dnaannot.dna.compiled import kernel
from dnaannot.predict.compiling import is_compiled

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
(found,) = posteriors(grammar, weights, [(words, emissions, states)])
for values in (states, *found[1:]):
    print(hashlib.md5(values.tobytes()).hexdigest())
"""

NOWHERE = """
from numba.core.caching import CacheImpl
CacheImpl._locator_classes = []
import dnaannot.dna.context_models
import dnaannot.dna.forward_backward
import dnaannot.dna.linear_chain
import dnaannot.dna.viterbi
import dnaannot.nn.residual_kernels
from dnaannot.predict import compiling
compiling.compile_ahead()
print(compiling.is_compiled(), compiling._child)
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


def test_kernels_work_where_none_can_be_kept(monkeypatch):
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])

    @kernel()
    def plus(a, b):
        return a + b

    assert plus(1, 2) == 3


def test_nothing_is_compiled_ahead_where_nothing_can_be_kept(tmp_path):
    assert said(NOWHERE, tmp_path).split() == [b"True", b"None"]


def test_kernels_of_another_source_do_not_count(tmp_path, monkeypatch):
    kept = forward_backward_kernels.pass_back._cache._cache_file
    monkeypatch.setattr(kept, "_index_path", str(tmp_path / "index"))
    assert not is_compiled()
    kept._save_index({"a signature": "a file"})
    assert is_compiled()
    monkeypatch.setattr(kept, "_source_stamp", "of an earlier version")
    assert not is_compiled()
