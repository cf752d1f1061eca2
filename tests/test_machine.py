from __future__ import annotations

import os

import pytest

from dnaannot import machine


@pytest.fixture
def group(monkeypatch, tmp_path):
    """Write the files of a control group, on a machine of 64 CPUs."""
    monkeypatch.setattr(machine, "_CONTROL_GROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_of_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + "\n")

    return write


def test_without_limits_all_is_ours(group):
    assert machine.available_cpus() == 64
    free = machine.free_host_memory()
    group(cpu_of_max="max 100000", memory_of_max="max", memory_of_current="5")
    assert machine.available_cpus() == 64
    assert machine.free_host_memory() == pytest.approx(free, rel=0.5)


@pytest.mark.parametrize(("quota", "cpus"), [("200000", 2), ("150000", 2), ("10000", 1)])
def test_a_quota_of_cpus_counts(group, quota, cpus):
    group(cpu_of_max=f"{quota} 100000")
    assert machine.available_cpus() == cpus


def test_an_older_kernel_tells_it_elsewhere(group):
    group(cpu__cpu_of_cfs_quota_us="-1", cpu__cpu_of_cfs_period_us="100000")
    assert machine.available_cpus() == 64
    group(cpu__cpu_of_cfs_quota_us="300000")
    assert machine.available_cpus() == 3
    group(
        memory__memory_of_limit_in_bytes="1000",
        memory__memory_of_usage_in_bytes="700",
        memory__memory_of_stat="cache 500\ntotal_inactive_file 100",
    )
    assert machine.free_host_memory() == 400


def test_what_the_container_has_taken_is_not_free_but_its_file_cache_is(group):
    group(
        memory_of_max="1000", memory_of_current="700", memory_of_stat="anon 400\ninactive_file 250"
    )
    assert machine.free_host_memory() == 550
    group(memory_of_current="1300")
    assert machine.free_host_memory() == 0
