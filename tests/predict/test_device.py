from __future__ import annotations

import pytest
import torch

from dnaannot.errors import DataError
from dnaannot.predict.device import choose_compute
from dnaannot.predict.replicas import has_fast_bf16
from dnaannot.predict.scorer import Compute


def test_what_is_asked_for_is_taken():
    assert choose_compute("cpu", "fp32", 3, 7) == Compute("cpu", False, 3, 7)
    assert choose_compute("cpu", "bf16").bf16
    assert choose_compute("cpu").bf16 == has_fast_bf16("cpu")


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_compute("auto").device == "cpu"
    with pytest.raises(DataError, match="--device cpu"):
        choose_compute("cuda")


def test_all_gpus_are_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    compute = choose_compute("auto", "fp32")
    assert compute.devices == ("cuda:0", "cuda:1", "cuda:2")
    assert compute.at_once == 6
    assert choose_compute("cpu", "fp32", threads=4).devices == ("cpu",)
