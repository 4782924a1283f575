"""Rates that come again, cycle after cycle: the cosine of Snapshot Ensembles and SGDR, and the triangle of Smith."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from manyminima.schedules.steps import check, check_numbers, divided, namespace, result, serialisable

__all__ = ["CosineCycles", "Triangular"]

_MAX_STEP = 2**31 - 1  # JAX counts steps in int32


def _as_fraction(schedule, name: str):
    """Make a number of steps exact, whichever way it was written."""
    value = getattr(schedule, name)
    try:
        object.__setattr__(schedule, name, Fraction(value))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        check(False, schedule, f"{name} to be a number of steps or a Fraction of one, not {value!r}")


def _check_length(schedule, length: Fraction, exact: bool = True):
    check(length > 0, schedule, "a cycle length above 0 steps")
    fits = not exact or length.numerator * length.denominator <= _MAX_STEP
    check(fits, schedule, "a cycle length n/d (in steps) with n·d below 2**31, so that phases stay exact integers")


def _units(length: Fraction, offset: Fraction = Fraction(0)) -> tuple[int, int, int]:
    """Return d, and length and offset in units of 1/d of a step, all of them integers."""
    d = math.lcm(length.denominator, offset.denominator)
    return d, int(length * d), int(offset * d)


def _cycle_and_phase(step, xp, real, units: tuple[int, int, int]):
    """Return the 0-based cycle and the phase (0 up to, not including, 1) of `step + offset` in cycles of `length` steps."""
    d, n, o = units
    # (step mod n)·d instead of step·d: nothing overflows int32, and n divides the difference.
    cycle, position = divided(step, n, xp)
    if (d, o) == (1, 0):
        return cycle, real(position) / n
    later, position = divided(position * d + o, n, xp)
    return cycle * d + later, real(position) / n


@serialisable
@dataclass(frozen=True)
class CosineCycles(LearningRateSchedule):
    """Rate that falls along half a cosine from `peak` towards `floor`, and restarts, cycle after cycle.

    `rate = floor + (peak - floor) / 2 * (1 + cos(pi * phase))`, phase 0 at a cycle's first step. The floor itself would be
    reached at phase 1, which is the next cycle's first step. Cycle k (from 0) is `length * length_multiplier**k` steps long,
    and its rates are multiplied by `rate_multiplier**k`. Equation 2 of Snapshot Ensembles is
    `CosineCycles(a0, Fraction(T, M))`; SGDR is `length_multiplier=T_mult`.

    Args:
        peak: the rate at the start of the first cycle.
        length: steps of the first cycle, above 0; a `Fraction(T, M)` gives exactly M cycles in T steps.
        floor: the rate the cosine falls towards, at least 0 and below `peak`.
        length_multiplier: how many times as long each next cycle is, at least 1.
        rate_multiplier: factor on peak and floor of each next cycle, above 0.

    Example:
        >>> s = CosineCycles(0.2, 5)
        >>> [round(s(t), 4) for t in (0, 1, 4, 5, 9, 10)]
        [0.2, 0.1809, 0.0191, 0.2, 0.0191, 0.2]

    Reference:
        Huang et al. 2017, Snapshot Ensembles, eq. 2. Loshchilov & Hutter 2017, SGDR, eq. 5.
    """

    peak: float
    length: int | str | Fraction
    floor: float = 0.0
    length_multiplier: float = 1.0
    rate_multiplier: float = 1.0

    def __post_init__(self):
        _as_fraction(self, "length")
        check_numbers(self, "peak", "floor", "length_multiplier", "rate_multiplier")
        _check_length(self, self._length, exact=self.length_multiplier == 1)
        check(0 <= self.floor < self.peak < math.inf, self, "0 <= floor < peak")
        grows = 1.001 <= self.length_multiplier < math.inf  # closer to 1 there would be too many cycles to list
        check(self.length_multiplier == 1 or grows, self, "length_multiplier >= 1.001, or 1 for equal cycles")
        check(self.rate_multiplier > 0, self, "rate_multiplier > 0")

    @cached_property
    def _length(self) -> Fraction:
        return Fraction(self.length)

    @cached_property
    def _units(self) -> tuple[int, int, int]:
        return _units(self._length)

    @cached_property
    def _starts(self) -> list[Fraction]:
        """Exact (fractional) first steps of the cycles that begin before 2**31, for growing cycles."""
        multiplier, starts, length = Fraction(self.length_multiplier), [Fraction(0)], self._length
        while starts[-1] + length <= _MAX_STEP:
            starts.append(starts[-1] + length)
            length = (length * multiplier).limit_denominator(10**6)
        return starts

    def ends(self, cycles: int) -> list[int]:
        """Return the number of batches after which each of the first `cycles` cycles is over."""
        if self.length_multiplier == 1:
            return [math.ceil(k * self._length) for k in range(1, cycles + 1)]
        return [math.ceil(start) for start in self._starts[1 : cycles + 1]]

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First whole step of each growing cycle, how far into the cycle it is, and the cycle's length in steps."""
        first = [math.ceil(s) for s in self._starts]
        late = [float(f - s) for f, s in zip(first, self._starts, strict=True)]
        lengths = [float(self._length) * self.length_multiplier**k for k in range(len(first))]
        return np.array(first, "int32"), np.array(late, "float32"), np.array(lengths, "float32")

    def _grown_cycle_and_phase(self, step, xp, real):
        first, late, lengths = (xp.array(table) for table in self._tables)
        cycle = xp.sum(xp.expand_dims(step, -1) >= first, axis=-1) - 1
        done = real(step - xp.take(first, cycle)) + xp.take(late, cycle)
        return cycle, done / xp.take(lengths, cycle)

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        xp, real, step = namespace(step)
        if self.length_multiplier == 1:
            cycle, phase = _cycle_and_phase(step, xp, real, self._units)
        else:
            cycle, phase = self._grown_cycle_and_phase(step, xp, real)
        rate = self.floor + (self.peak - self.floor) / 2 * (1 + xp.cos(math.pi * phase))
        if self.rate_multiplier != 1:
            rate = rate * self.rate_multiplier ** real(cycle)
        return result(rate, step)


@serialisable
@dataclass(frozen=True)
class Triangular(LearningRateSchedule):
    """Rate that rises in a straight line from `floor` to `peak` and falls back, cycle after cycle.

    `rate = floor + (peak - floor) * (1 - |2 * phase - 1|) * amplitude_multiplier**cycle * gamma**step`. Smith's triangular2
    is `amplitude_multiplier=0.5`, exp_range is `gamma` below 1; Smith's step size is half of `length`.

    Args:
        peak: the rate in the middle of the first cycle.
        floor: the rate at a cycle's start, at least 0 and below `peak`.
        length: steps of one whole cycle, above 0; may be a `Fraction`.
        amplitude_multiplier: factor on `peak - floor` from cycle to cycle, above 0.
        gamma: factor on `peak - floor` from step to step, above 0.
        offset: how many steps into its first cycle the schedule begins; may be a `Fraction`.

    Example:
        >>> s = Triangular(peak=0.006, floor=0.001, length=8)
        >>> [round(s(t), 4) for t in (0, 2, 4, 6, 8, 10)]
        [0.001, 0.0035, 0.006, 0.0035, 0.001, 0.0035]

    Reference:
        Smith 2017, Cyclical Learning Rates for Training Neural Networks, section 3.
    """

    peak: float
    floor: float
    length: int | str | Fraction
    amplitude_multiplier: float = 1.0
    gamma: float = 1.0
    offset: int | str | Fraction = 0

    def __post_init__(self):
        _as_fraction(self, "length")
        _as_fraction(self, "offset")
        check_numbers(self, "peak", "floor", "amplitude_multiplier", "gamma")
        _check_length(self, Fraction(self.length))
        check(0 <= self.floor < self.peak < math.inf, self, "0 <= floor < peak")
        check(self.amplitude_multiplier > 0 and self.gamma > 0, self, "amplitude_multiplier and gamma above 0")
        check(Fraction(self.offset) >= 0, self, "offset >= 0")

    @cached_property
    def _units(self) -> tuple[int, int, int]:
        return _units(Fraction(self.length), Fraction(self.offset))

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        xp, real, step = namespace(step)
        cycle, phase = _cycle_and_phase(step, xp, real, self._units)
        amplitude = self.peak - self.floor
        if self.amplitude_multiplier != 1:
            amplitude = amplitude * self.amplitude_multiplier ** real(cycle)
        if self.gamma != 1:
            amplitude = amplitude * self.gamma ** (real(step) + float(self.offset))
        return result(self.floor + amplitude * (1 - xp.abs(2 * phase - 1)), step)
