"""What this process may use of the machine, a container's limits counted."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_CONTROL_GROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


class _Accounts(NamedTuple):
    """Files of a control group, below its root, that tell its memory in one version of them.

    Attributes:
        limit, taken: bytes.
        details: names and bytes, line by line.
        cache: the name there of what is taken for files alone and given back when needed.
    """

    limit: str
    taken: str
    details: str
    cache: str


_MEMORY = (
    _Accounts("memory.max", "memory.current", "memory.stat", "inactive_file"),
    _Accounts(
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def available_cpus() -> int:
    """CPUs that this process may use, which can be fewer than the machine has."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cpus = os.cpu_count() or 1
    return min([cpus, *(max(1, math.ceil(quota)) for quota in _cpu_quotas())])


def free_host_memory() -> int:
    """Bytes of memory that this process may still take."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if _MEMINFO.exists():
        fields = dict(line.split(":") for line in _MEMINFO.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    return min([free, *map(_left, filter(_limits, _MEMORY))])


def _cpu_quotas() -> list[float]:
    """Limits in CPUs, of either version of control groups; none where there is none."""
    pairs: Sequence[Sequence[str]] = (
        _words("cpu.max"),
        [*_words("cpu/cpu.cfs_quota_us"), *_words("cpu/cpu.cfs_period_us")],
    )
    return [int(pair[0]) / int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0].isdigit()]


def _limits(accounts: _Accounts) -> bool:
    return any(word.isdigit() for word in _words(accounts.limit))


def _left(accounts: _Accounts) -> int:
    words = _words(accounts.details)
    details = dict(zip(words[::2], words[1::2], strict=False))
    taken = sum(map(int, _words(accounts.taken))) - int(details.get(accounts.cache, 0))
    return max(0, int(_words(accounts.limit)[0]) - taken)


def _words(name: str) -> list[str]:
    try:
        return (_CONTROL_GROUP / name).read_text().split()
    except OSError:
        return []
