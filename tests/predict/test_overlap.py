from __future__ import annotations

import itertools
import threading

import pytest

from dnaannot.predict.overlap import in_background


def test_items_come_in_order():
    assert list(in_background(range(100), ahead=3)) == list(range(100))


def test_a_failure_is_raised_after_what_came_before():
    def items():
        yield 1
        raise ValueError("no more")

    made = in_background(items())
    assert next(made) == 1
    with pytest.raises(ValueError, match="no more"):
        next(made)


def test_what_is_not_wanted_is_not_made_and_its_thread_ends():
    before, made, closed = threading.active_count(), [], []

    def items():
        try:
            for number in itertools.count():
                made.append(number)
                yield number
        finally:
            closed.append(True)

    wanted = in_background(items(), ahead=2)
    assert next(wanted) == 0
    wanted.close()
    assert len(made) <= 5
    assert closed
    assert threading.active_count() == before
