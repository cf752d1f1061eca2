from __future__ import annotations

import torch

from dnaannot.nn.gpu_memory import free_gpu_memory


def test_what_this_process_holds_without_using_it_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 70)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    assert free_gpu_memory("cuda:0") == 150
