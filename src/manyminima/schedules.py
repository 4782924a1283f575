"""Learning rates as functions of the step, named for their shape.

A schedule is a frozen dataclass: `schedule(step)` is the rate served to the 0-based batch `step`. A plain number (or
NumPy array) of steps gives plain float64 numbers, which is what plots and tables use; a backend's tensor is traced, so the
same object runs inside the compiled training step. Each one is an ordinary Keras `LearningRateSchedule` and can be given to
any Keras optimizer.

Phases are computed in integers: step 10,000,000 is as exact as step 10, also where the backend knows float32 only.
"""

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

__all__ = ["Constant", "CosineCycles", "Joined", "Linear", "Staircase", "Triangular"]

_MAX_STEP = 2**31 - 1  # JAX counts steps in int32


def _serialisable(cls):
    """Let Keras save a frozen dataclass: its fields are its config."""

    def get_config(self):
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    def from_config(cls, config):
        return cls(**{name: _unplain(value) for name, value in config.items()})

    cls.get_config, cls.from_config = get_config, classmethod(from_config)
    return keras.saving.register_keras_serializable("manyminima")(cls)


def _plain(value):
    if isinstance(value, Fraction):
        return str(value)
    return keras.saving.serialize_keras_object(value) if isinstance(value, LearningRateSchedule | tuple) else value


def _unplain(value):
    if isinstance(value, dict):
        return keras.saving.deserialize_keras_object(value)
    return tuple(_unplain(v) for v in value) if isinstance(value, list | tuple) else value


def at_hand(step: Any) -> int | None:
    """Return a count that torch holds on the CPU as a plain number; None elsewhere, where it is traced or far away.

    torch runs one operation after the other, each of which takes longer than a whole formula on plain numbers.
    """
    step = step.value if isinstance(step, keras.Variable) else step
    here = type(step).__module__.startswith("torch") and step.ndim == 0 and step.device.type == "cpu"
    return int(step) if here else None


def _namespace(step: Any) -> tuple[Any, Any, Any]:
    """Return the array functions to use for `step`, a cast to their real numbers, and `step` as they take it."""
    if isinstance(step, int | float | np.ndarray | np.generic):
        return np, lambda x: np.asarray(x, "float64"), step
    number = at_hand(step)
    if number is not None:
        return np, lambda x: np.asarray(x, "float64"), number
    # Backends count steps in different integers, and do not mix them.
    return keras.ops, lambda x: keras.ops.cast(x, "float32"), keras.ops.cast(step, "int32")


def _result(rate, step):
    return float(rate) if isinstance(step, int | float | np.generic) else rate


def _check(ok: bool, schedule, expected: str):
    if not ok:
        raise ValueError(f"{schedule} is not a schedule: expected {expected}.")


def _check_length(schedule, length: Fraction, exact: bool = True):
    _check(length > 0, schedule, "a cycle length above 0 steps")
    fits = not exact or length.numerator * length.denominator <= _MAX_STEP
    _check(fits, schedule, "a cycle length n/d (in steps) with n·d below 2**31, so that phases stay exact integers")


def _units(length: Fraction, offset: Fraction = Fraction(0)) -> tuple[int, int, int]:
    """Return d, and length and offset in units of 1/d of a step, all of them integers."""
    d = math.lcm(length.denominator, offset.denominator)
    return d, int(length * d), int(offset * d)


def _divided(count, n: int, xp):
    """Return quotient and remainder of a count, at most 2**31 - 1, exactly.

    XLA gives an integer division a kernel of its own, which costs the step of a small convolutional network 7 %. What is done
    here with float32 becomes part of the optimizer's update, and costs nothing that can be measured.
    """
    if xp is np:
        return count // n, count % n
    quotient, rest = 0, count
    for _ in range(2):  # the first leaves a remainder of at most n + 256, the second is wrong by at most 1
        guess = xp.cast(xp.floor(xp.cast(rest, "float32") * (1 / n)), "int32")
        quotient, rest = quotient + guess, rest - guess * n
    below, above = rest < 0, rest >= n
    off = xp.cast(above, "int32") - xp.cast(below, "int32")
    return quotient + off, rest - off * n


def _cycle_and_phase(step, xp, real, units: tuple[int, int, int]):
    """Return the 0-based cycle and the phase (0 up to, not including, 1) of `step + offset` in cycles of `length` steps."""
    d, n, o = units
    # (step mod n)·d instead of step·d: nothing overflows int32, and n divides the difference.
    cycle, position = _divided(step, n, xp)
    if (d, o) == (1, 0):
        return cycle, real(position) / n
    later, position = _divided(position * d + o, n, xp)
    return cycle * d + later, real(position) / n


@_serialisable
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
        object.__setattr__(self, "length", Fraction(self.length))
        _check_length(self, self._length, exact=self.length_multiplier == 1)
        _check(0 <= self.floor < self.peak < math.inf, self, "0 <= floor < peak")
        grows = 1.001 <= self.length_multiplier < math.inf  # closer to 1 there would be too many cycles to list
        _check(self.length_multiplier == 1 or grows, self, "length_multiplier >= 1.001, or 1 for equal cycles")
        _check(self.rate_multiplier > 0, self, "rate_multiplier > 0")

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
        xp, real, step = _namespace(step)
        if self.length_multiplier == 1:
            cycle, phase = _cycle_and_phase(step, xp, real, self._units)
        else:
            cycle, phase = self._grown_cycle_and_phase(step, xp, real)
        rate = self.floor + (self.peak - self.floor) / 2 * (1 + xp.cos(math.pi * phase))
        if self.rate_multiplier != 1:
            rate = rate * self.rate_multiplier ** real(cycle)
        return _result(rate, step)


@_serialisable
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
        object.__setattr__(self, "length", Fraction(self.length))
        object.__setattr__(self, "offset", Fraction(self.offset))
        _check_length(self, Fraction(self.length))
        _check(0 <= self.floor < self.peak < math.inf, self, "0 <= floor < peak")
        _check(self.amplitude_multiplier > 0 and self.gamma > 0, self, "amplitude_multiplier and gamma above 0")
        _check(Fraction(self.offset) >= 0, self, "offset >= 0")

    @cached_property
    def _units(self) -> tuple[int, int, int]:
        return _units(Fraction(self.length), Fraction(self.offset))

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        xp, real, step = _namespace(step)
        cycle, phase = _cycle_and_phase(step, xp, real, self._units)
        amplitude = self.peak - self.floor
        if self.amplitude_multiplier != 1:
            amplitude = amplitude * self.amplitude_multiplier ** real(cycle)
        if self.gamma != 1:
            amplitude = amplitude * self.gamma ** (real(step) + float(self.offset))
        return _result(self.floor + amplitude * (1 - xp.abs(2 * phase - 1)), step)


@_serialisable
@dataclass(frozen=True)
class Constant(LearningRateSchedule):
    """The same rate at every step.

    Example:
        >>> Constant(0.1)(0), Constant(0.1)(1000)
        (0.1, 0.1)
    """

    rate: float

    def __post_init__(self):
        _check(0 <= self.rate < math.inf, self, "rate >= 0")

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        _, real, step = _namespace(step)
        return _result(real(step) * 0 + self.rate, step)


@_serialisable
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
        _check(self.start >= 0 and self.stop >= 0, self, "rates of at least 0")
        _check(self.steps >= 1, self, "steps >= 1")

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        xp, real, step = _namespace(step)
        done = real(xp.minimum(step, self.steps)) / self.steps
        return _result(self.start + (self.stop - self.start) * done, step)


@_serialisable
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
        _check(len(self.schedules) == len(self.boundaries) + 1, self, "one boundary between each two schedules")
        _check(list(self.boundaries) == sorted(set(self.boundaries)), self, "ascending boundaries")

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        xp, real, step = _namespace(step)
        rate = real(self.schedules[0](step))
        for schedule, start in zip(self.schedules[1:], self.boundaries, strict=True):
            # Clipped at 0: the branch not taken must still be a number, else `where` may hand on a NaN.
            rate = xp.where(step >= start, real(schedule(xp.maximum(step - start, 0))), rate)
        return _result(rate, step)


@_serialisable
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
        _check(self.width >= 1, self, "width >= 1")

    def __call__(self, step):
        """Return the rate of 0-based batch `step`."""
        xp, real, step = _namespace(step)
        return _result(real(self.schedule(_divided(step, self.width, xp)[0])), step)
