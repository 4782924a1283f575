"""When to collect, as functions of the step: `when(n)` is asked after n batches of this `fit`."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from manyminima.parameters import is_whole

__all__ = ["At", "Every"]


@dataclass(frozen=True)
class At:
    """Collect after exactly these numbers of batches.

    Example:
        >>> [n for n in range(1, 8) if At((3, 6))(n)]
        [3, 6]
    """

    steps: tuple[int, ...]

    def __post_init__(self):
        if isinstance(self.steps, Iterable):
            object.__setattr__(self, "steps", tuple(self.steps))  # a generator could be gone through once
        whole = isinstance(self.steps, tuple) and all(is_whole(n) for n in self.steps)
        if not whole or list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"At({self.steps!r}): expected ascending numbers of batches, each at least 1: At((3, 6)).")

    def __call__(self, step: int) -> bool:
        """Tell whether to collect after `step` batches."""
        return step in self._set

    @cached_property
    def _set(self) -> frozenset[int]:
        return frozenset(self.steps)  # asked once for every batch of a run


@dataclass(frozen=True)
class Every:
    """Collect after every `interval` batches, once more than `start` batches are done.

    Example:
        >>> [n for n in range(1, 10) if Every(2, start=4)(n)]
        [6, 8]
    """

    interval: int
    start: int = 0

    def __post_init__(self):
        if not is_whole(self.interval) or not is_whole(self.start, 0):
            raise ValueError(f"{self}: expected interval >= 1 and start >= 0, both in batches.")

    def __call__(self, step: int) -> bool:
        """Tell whether to collect after `step` batches."""
        return step > self.start and (step - self.start) % self.interval == 0
