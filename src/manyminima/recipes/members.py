"""Recipes that collect members at the lows of a rate that rises and falls, and the baseline that leaves the rate alone."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import Literal

from manyminima.recipes.plan import Plan, as_html, check_numbers, check_whole, peak_of
from manyminima.when import At

__all__ = ["checkpoints", "cyclic", "fge", "snapshot"]


def _ends(recipe, ends: list[int], unit: int, run: str) -> At:
    """Collect at these ends of cycles, each at least one schedule step after the one before."""
    _check_room(all(a < b for a, b in zip([0, *ends[:-1]], ends, strict=True)), recipe, run)
    return At(tuple(n * unit for n in ends))


def _check_room(enough: bool, recipe, run: str) -> None:
    if not enough:
        raise ValueError(
            f"{recipe} has more cycles than {run} can hold: every cycle must reach a low of its own. "
            f"Ask for fewer cycles or train for more epochs."
        )


def _low(lr: Callable, position: Fraction, start: int = 0) -> int:
    """Return the batch count next to a low at a fractional one whose last batch has the lower rate."""
    around = {max(math.floor(position), 1), math.ceil(position)}
    return start + min(sorted(around, key=lambda n: abs(n - position)), key=lambda n: lr(start + n - 1))


@dataclass(frozen=True)
class snapshot:
    """Cosine cycles from `peak` down, one member at the end of each: Snapshot Ensembles.

    Exactly `cycles` members, each taken after the batch with its cycle's lowest rate, before the restart; the last one
    at the run's end.

    Args:
        cycles: number of cycles, and of members.
        peak: learning rate at each restart; None takes the optimizer's own.
        floor: rate that each cycle falls towards.
        length_multiplier: how many times as long each next cycle is (SGDR's T_mult).
        rate_multiplier: factor on the rates of each next cycle.
        update: change the rate at every "step", as the paper does, or every "epoch", as tutorials do.

    Reference:
        Huang et al. 2017, Snapshot Ensembles: Train 1, Get M for Free. Loshchilov & Hutter 2017, SGDR.
    """

    cycles: int
    peak: float | None = None
    _: KW_ONLY
    floor: float = 0.0
    length_multiplier: float = 1.0
    rate_multiplier: float = 1.0
    update: Literal["step", "epoch"] = "step"

    _repr_html_ = as_html

    def __post_init__(self):
        check_whole(self, "cycles")
        check_numbers(self, "peak", "floor", "length_multiplier", "rate_multiplier")
        if self.update not in ("step", "epoch"):
            raise ValueError(f'{self}: expected update="step" or update="epoch", got {self.update!r}.')

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return cosine cycles that fill the run, and their ends."""
        from manyminima.schedules import CosineCycles, Staircase

        run = f"a run of {epochs} epochs × {steps_per_epoch} steps"
        unit = 1 if self.update == "step" else steps_per_epoch
        total = epochs * steps_per_epoch // unit
        _check_room(self.cycles <= total, self, run)
        growth = Fraction(self.length_multiplier)
        shares = Fraction(self.cycles) if growth == 1 else (growth**self.cycles - 1) / (growth - 1)
        lr = CosineCycles(peak_of(self), total / shares, self.floor, self.length_multiplier, self.rate_multiplier)
        ends = [*lr.ends(self.cycles)[:-1], total] if total >= shares else [0]  # the first cycle is the shortest
        when = _ends(self, ends, unit, run)
        return Plan(lr if unit == 1 else Staircase(lr, unit), when)


@dataclass(frozen=True)
class checkpoints:
    """A member at the end of every epoch, or of some; the learning rate is left alone.

    The baseline of the snapshot paper ("no cycle"), and what horizontal voting ensembles of tutorials do.

    Args:
        every: epochs from one member to the next; the run's last epoch is always one of them.
        last: keep to the last so many of these; None takes all.
    """

    every: int = 1
    last: int | None = None

    _repr_html_ = as_html

    def __post_init__(self):
        check_whole(self, "every")
        if self.last is not None:
            check_whole(self, "last")

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return no schedule, and the ends of the chosen epochs."""
        chosen = list(range(epochs, 0, -self.every))[: self.last]
        if self.last is not None and len(chosen) < self.last:
            raise ValueError(f"{self} asks for {self.last} members, but {epochs} epochs hold {len(chosen)}.")
        return Plan(None, At(tuple(epoch * steps_per_epoch for epoch in reversed(chosen))))


@dataclass(frozen=True)
class cyclic:
    """Triangular rates between `floor` and `peak`, one member at each low: Smith's cyclical learning rates.

    The wave is served one step early, so that the last batch of each cycle, after which the member is taken, has the
    lowest rate, and the run ends on it.

    Args:
        cycles: number of cycles, and of members.
        peak: highest rate; None takes the optimizer's own.
        floor: lowest rate; None takes a quarter of the peak.
        amplitude_multiplier: factor on `peak - floor` from cycle to cycle; 0.5 is "triangular2".
        gamma: factor on `peak - floor` from step to step; below 1 it is "exp_range".

    Reference:
        Smith 2017, Cyclical Learning Rates for Training Neural Networks.
    """

    cycles: int
    peak: float | None = None
    _: KW_ONLY
    floor: float | None = None
    amplitude_multiplier: float = 1.0
    gamma: float = 1.0

    _repr_html_ = as_html

    def __post_init__(self):
        check_whole(self, "cycles")
        check_numbers(self, "peak", "floor", "amplitude_multiplier", "gamma")

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return triangles that fill the run, and their lows."""
        from manyminima.schedules import Triangular

        total = epochs * steps_per_epoch
        run = f"a run of {total} steps"
        _check_room(self.cycles <= total, self, run)
        length = Fraction(total, self.cycles)
        floor = peak_of(self) / 4 if self.floor is None else self.floor
        lr = Triangular(peak_of(self), floor, length, self.amplitude_multiplier, self.gamma, offset=1)
        lows = [_low(lr, k * length) for k in range(1, self.cycles + 1)]
        return Plan(lr, _ends(self, lows, 1, run))


@dataclass(frozen=True)
class fge:
    """An ordinary run up to `start`, then short triangles with a member at each low: Fast Geometric Ensembling.

    The rate is constant at `peak` for half of the run and falls in a line that would reach 1 % of it at 90 %; from `start`
    on it moves between `high` and `low`, as shares of the peak. As in the paper, a member is taken in the middle of a cycle.

    Args:
        cycles: number of cycles after `start`, and of members.
        peak: rate of the first half; None takes the optimizer's own.
        start: share of the run after which the cycles begin, 0 up to, not including, 1.
        high: rate at a cycle's ends, as a share of `peak`.
        low: rate in a cycle's middle, as a share of `peak`.

    Reference:
        Garipov et al. 2018, Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs, section 4.
    """

    cycles: int
    peak: float | None = None
    _: KW_ONLY
    start: float = 0.8
    high: float = 0.5
    low: float = 0.005

    _repr_html_ = as_html

    def __post_init__(self):
        check_whole(self, "cycles")
        check_numbers(self, "peak", "start", "high", "low")
        if not 0 <= self.start < 1 or not 0 <= self.low < self.high:
            raise ValueError(f"{self}: expected 0 <= start < 1 and 0 <= low < high.")

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return the standard run followed by triangles, and the triangles' lows."""
        from manyminima.schedules import Constant, Joined, Linear, Triangular

        total, peak = epochs * steps_per_epoch, peak_of(self)
        start = round(total * self.start)
        run = f"the last {total - start} steps of a run of {total} steps"
        _check_room(self.cycles <= total - start, self, run)
        length = Fraction(total - start, self.cycles)
        cycle = Triangular(self.high * peak, self.low * peak, length, offset=length / 2 + 1)
        half, nine_tenths = total // 2, math.ceil(total * 0.9)
        before = (Constant(peak), Linear(peak, 0.01 * peak, max(nine_tenths - half, 1)))
        pieces = [(0, before[0]), *([(half, before[1])] if 0 < half < start else []), (start, cycle)]
        pieces = pieces[-1:] if start == 0 else pieces
        lr = Joined(tuple(p for _, p in pieces), tuple(s for s, _ in pieces[1:])) if len(pieces) > 1 else cycle
        lows = [_low(lr, (k + Fraction(1, 2)) * length, start) for k in range(self.cycles)]
        lows = lows if length >= 2 else [0]  # shorter triangles have no middle
        return Plan(lr, _ends(self, lows, 1, run))
