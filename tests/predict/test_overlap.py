from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import Future

import pytest

from dnaannot.predict.overlap import in_background


class Numbers:
    """An iterator that is no generator.

    Attributes:
        made: how many numbers so far.
        closed: whether it was told that no more are wanted.
    """

    def __init__(self, last=None):
        self.made, self.last, self.closed = 0, last, False

    def __iter__(self):
        return self

    def __next__(self):
        if self.made == self.last:
            raise StopIteration
        self.made += 1
        return self.made - 1

    def close(self):
        self.closed = True


def in_time(work):
    """What this returns or raises, before ten seconds have passed."""
    done = Future()

    def run():
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(timeout=10)


def test_items_come_in_order():
    assert list(in_background(range(100), ahead=3)) == list(range(100))


@pytest.mark.parametrize("error", [ValueError, KeyError, KeyboardInterrupt])
def test_a_failure_is_raised_after_what_came_before(error):
    def items():
        yield 1
        raise error("no more")

    made = in_background(items())
    assert next(made) == 1
    with pytest.raises(error, match="no more"):
        in_time(lambda: next(made))


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_so_many_items_wait(ahead):
    numbers = Numbers()
    wanted = in_background(numbers, ahead)
    assert next(wanted) == 0
    in_all = 1 + ahead + 1  # the one taken, those that wait, and one in the maker's hand
    until = time.monotonic() + 10
    while numbers.made < in_all and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.02)
    assert numbers.made == in_all
    in_time(wanted.close)


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
    in_time(wanted.close)
    assert len(made) <= 5
    assert closed
    assert threading.active_count() == before


@pytest.mark.parametrize("last", [1, None])
def test_what_makes_the_items_is_closed(last):
    numbers = Numbers(last)
    wanted = in_background(numbers)
    assert next(wanted) == 0
    in_time(wanted.close)
    assert numbers.closed
