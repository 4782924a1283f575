"""Plain rates, and schedules made of others: one after the other, or each rate held for a while."""

import math
from dataclasses import dataclass

from keras.optimizers.schedules import LearningRateSchedule

from manyminima.schedules.steps import check, check_numbers, divided, namespace, result, serialisable

__all__ = ["Constant", "Joined", "Linear", "Staircase"]


@serialisable
@dataclass(frozen=True)
class Constant(LearningRateSchedule):
    """The same rate at every step.

    Example:
        >>> Constant(0.1)(0), Constant(0.1)(1000)
        (0.1, 0.1)
    """

    rate: float

    def __post_init__(self):
        check_numbers(self, "rate")
        check(0 <= self.rate < math.inf, self, "rate >= 0")

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        _, real, step = namespace(step)
        return result(real(step) * 0 + self.rate, step)


@serialisable
@dataclass(frozen=True)
class Linear(LearningRateSchedule):
    """Rate on the straight line from `start` at step 0 to `stop` at step `steps`, and `stop` from there on.

    Example:
        >>> s = Linear(1.0, 0.0, steps=4)
        >>> [s(t) for t in (0, 1, 3, 4, 5)]
        [1.0, 0.75, 0.25, 0.0, 0.0]
    """

    start: float
    stop: float
    steps: int

    def __post_init__(self):
        check_numbers(self, "start", "stop", "steps")
        check(self.start >= 0 and self.stop >= 0, self, "rates of at least 0")
        check(self.steps >= 1, self, "steps >= 1")

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        xp, real, step = namespace(step)
        done = real(xp.minimum(step, self.steps)) / self.steps
        return result(self.start + (self.stop - self.start) * done, step)


@serialisable
@dataclass(frozen=True)
class Joined(LearningRateSchedule):
    """Schedules one after the other; each counts steps from its own start.

    Args:
        schedules: two or more schedules.
        boundaries: the first step of each schedule but the first, ascending.

    Example:
        >>> s = Joined((Constant(0.1), Linear(0.1, 0.0, steps=2)), boundaries=(3,))
        >>> [s(t) for t in (2, 3, 4, 5)]
        [0.1, 0.1, 0.05, 0.0]
    """

    schedules: tuple
    boundaries: tuple

    def __post_init__(self):
        object.__setattr__(self, "schedules", tuple(self.schedules))
        object.__setattr__(self, "boundaries", tuple(self.boundaries))
        check(all(map(callable, self.schedules)), self, "schedules, such as Constant(0.1) for a rate of 0.1")
        check(len(self.schedules) == len(self.boundaries) + 1, self, "one boundary between each two schedules")
        check(list(self.boundaries) == sorted(set(self.boundaries)), self, "ascending boundaries")

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        xp, real, step = namespace(step)
        rate = real(self.schedules[0](step))
        for schedule, start in zip(self.schedules[1:], self.boundaries, strict=True):
            # Clipped at 0: the branch not taken must still be a number, else `where` may hand on a NaN.
            rate = xp.where(step >= start, real(schedule(xp.maximum(step - start, 0))), rate)
        return result(rate, step)


@serialisable
@dataclass(frozen=True)
class Staircase(LearningRateSchedule):
    """A schedule that holds each rate for `width` steps: `schedule(step // width)`.

    With `width` = steps per epoch the inner schedule counts epochs, which is how most tutorials change the rate.

    Example:
        >>> s = Staircase(Linear(1.0, 0.0, steps=4), width=10)
        >>> [s(t) for t in (0, 9, 10, 19, 20)]
        [1.0, 1.0, 0.75, 0.75, 0.5]
    """

    schedule: LearningRateSchedule
    width: int

    def __post_init__(self):
        check(callable(self.schedule), self, "a schedule to hold, such as CosineCycles(0.1, 5)")
        check_numbers(self, "width")
        check(self.width >= 1, self, "width >= 1")

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        xp, real, step = namespace(step)
        return result(real(self.schedule(divided(step, self.width, xp)[0])), step)
