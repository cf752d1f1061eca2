"""Stages of a pipeline that run side by side."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")


def in_background(items: Iterable[Item], ahead: int = 2) -> Iterator[Item]:
    """The items, made in a thread of their own, at most `ahead` of them waiting.

    What fails there is raised here, after what was made before; what is no longer wanted is not
    made. Closing waits for the item being made.
    """
    made: queue.Queue[tuple[str, Any]] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(kind: str, value: Any = None) -> bool:
        while not stopped.is_set():
            try:
                made.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put("item", item):
                    break
            put("end")
        except BaseException as error:
            put("error", error)
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    try:
        while True:
            kind, value = made.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stopped.set()
        maker.join()
