"""Groups of replicas that are at work at the same time. JAX only.

What one thread asks of a CPU is computed in order, and the products of a small network keep one core busy. So a CPU is given
as many groups as it has cores, each by a thread of its own; measured on two cores, that halves the time.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import jax
import numpy as np

__all__ = ["Compiled", "each", "lanes", "split"]

_T = TypeVar("_T")


def lanes(devices: Sequence[Any]) -> int:
    """Return how many groups these devices work on at the same time."""
    if len(devices) > 1 or devices[0].platform != "cpu":
        return len(devices)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def split(replicas: int, most: int, at_once: int) -> list[np.ndarray]:
    """Return the replicas' numbers in groups of one size, at most `most`, so that one program serves all of them.

    Where that leaves a place in the last group, it has the last replica again; whoever joins groups leaves it out.
    """
    size = min(most, -(-replicas // at_once))
    size = -(-replicas // -(-replicas // size))  # as even as can be
    return [np.minimum(np.arange(first, first + size), replicas - 1) for first in range(0, replicas, size)]


def each(work: Callable[[int], _T], groups: int, at_once: int) -> list[_T]:
    """Return what `work` returns for each group; those of one lane come one after the other.

    If one raises, or the user interrupts, what has not begun is not done.
    """
    if min(groups, at_once) == 1:
        return [work(group) for group in range(groups)]
    begun = [_thread(group % at_once).submit(work, group) for group in range(groups)]
    try:
        return [future.result() for future in begun]
    finally:
        for future in begun:
            future.cancel()


@cache
def _thread(lane: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix=f"lane {lane}")


class Compiled:
    """A function that is compiled before threads call it, once for the shapes and devices of its arguments."""

    def __init__(self, function: Callable, **options: Any):
        self._function = jax.jit(function, **options)
        self._begun: dict[tuple, Future] = {}

    def begin(self, *args: Any) -> tuple:
        """Begin to compile for arguments such as these, unless that has begun; return at once, what `ready` knows it by."""
        key = tuple((leaf.shape, leaf.dtype, _devices(leaf)) for leaf in jax.tree.leaves(args))
        if key not in self._begun:  # traced here: settings that hold for one thread only are part of it
            self._begun[key] = _compiler().submit(self._function.lower(*args).compile)
        return key

    def ready(self, *args: Any) -> Callable:
        """Return what is compiled for arguments such as these."""
        return self._begun[self.begin(*args)].result()

    def __len__(self) -> int:
        """How many times it was compiled."""
        return len(self._begun)


@cache
def _compiler() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, thread_name_prefix="compiler")


def _devices(leaf: Any) -> Any:
    return frozenset(leaf.devices()) if isinstance(leaf, jax.Array) else None
