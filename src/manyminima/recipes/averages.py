"""Recipes that make one model of many: averages of weights. `fold(into)` is what they collect into."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from manyminima.recipes.members import checkpoints
from manyminima.recipes.plan import Plan, as_html, check_numbers, check_whole, peak_of
from manyminima.when import At

__all__ = ["ema", "lawa", "polyak", "swa"]


@dataclass(frozen=True)
class swa:
    """An ordinary run that goes on at a constant rate, one member at each epoch's end: Stochastic Weight Averaging.

    The rate is constant at `peak` for half of the time up to `start`, falls in a line until nine tenths of it, and stays at
    `low` from there on, as in the authors' program. In memory the members' mean alone is kept; a directory keeps every
    member, and `mm.load(path).average()` is their mean. Models with BatchNormalization need `mm.refresh_batchnorm`.

    Args:
        start: share of the run after which members are collected, 0 up to, not including, 1.
        peak: rate of the first part; None takes the optimizer's own.
        every: epochs from one member to the next; the run's last epoch is always one of them.
        low: rate while members are collected, as a share of `peak`.

    Reference:
        Izmailov et al. 2018, Averaging Weights Leads to Wider Optima and Better Generalization.
    """

    start: float = 0.75
    peak: float | None = None
    _: KW_ONLY
    every: int = 1
    low: float = 0.2

    _repr_html_ = as_html

    def __post_init__(self):
        check_whole(self, "every")
        check_numbers(self, "start", "peak", "low")
        if not 0 <= self.start < 1 or not self.low > 0:
            raise ValueError(f"{self}: expected 0 <= start < 1 and low > 0.")

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return the falling rate, and the ends of the epochs after `start`."""
        from manyminima.schedules import Constant, Joined, Linear

        peak, before = peak_of(self), epochs * steps_per_epoch * self.start
        half, nine_tenths = round(0.5 * before), round(0.9 * before)
        pieces = [(0, Constant(peak)), (half, Linear(peak, self.low * peak, max(nine_tenths - half, 1)))]
        lr = Joined(tuple(p for _, p in pieces), (half,)) if half else Constant(self.low * peak)
        first = math.floor(epochs * self.start) + 1
        chosen = [epoch for epoch in range(epochs, 0, -self.every) if epoch >= first]
        return Plan(lr, At(tuple(epoch * steps_per_epoch for epoch in reversed(chosen))))

    def fold(self, into: Any) -> Any:
        """Return a running mean, or the directory itself."""
        from manyminima.averaging.folds import Mean

        return Mean() if into is None else into


@dataclass(frozen=True)
class polyak:
    """The mean of the last epochs' weights; the learning rate is left alone: Polyak–Ruppert averaging.

    In memory the mean alone is kept; a directory keeps every member, and `mm.load(path).average()` is their mean.

    Args:
        last: epochs that are averaged, the newest.

    Reference:
        Polyak & Juditsky 1992, Acceleration of Stochastic Approximation by Averaging.
    """

    last: int = 10

    _repr_html_ = as_html

    def __post_init__(self):
        check_whole(self, "last")

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return no schedule, and the ends of the last epochs."""
        return checkpoints(last=self.last).plan(epochs, steps_per_epoch)

    def fold(self, into: Any) -> Any:
        """Return a running mean, or the directory itself."""
        from manyminima.averaging.folds import Mean

        return Mean() if into is None else into


@dataclass(frozen=True)
class ema:
    """The exponential moving average over all steps, collected at the run's end; the learning rate is left alone.

    For members along the way use another recipe with `into=mm.Ema(decay, into="runs/x")`.

    Args:
        decay: for one optimizer step, 0 up to, not including, 1.
        every: optimizer steps from one update to the next, each with `decay**every`.

    Reference:
        Polyak & Juditsky 1992, Acceleration of Stochastic Approximation by Averaging. See `mm.Ema`.
    """

    decay: float = 0.999
    _: KW_ONLY
    every: int = 1

    _repr_html_ = as_html

    def __post_init__(self):
        check_whole(self, "every")
        check_numbers(self, "decay")
        if not 0 <= self.decay < 1:
            raise ValueError(f"{self}: expected 0 <= decay < 1, such as 0.999.")

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return no schedule, and the run's end."""
        return Plan(None, At((epochs * steps_per_epoch,)))

    def fold(self, into: Any) -> Any:
        """Return the moving average, written to `into`."""
        from manyminima.averaging.folds import Ema

        return Ema(self.decay, self.every, into=into)


@dataclass(frozen=True)
class lawa:
    """The mean of the newest epochs' weights, at every epoch's end; the learning rate is left alone: LAWA.

    In memory the newest mean is kept; in a directory the mean of each epoch is a member, the newest one the last.

    Args:
        k: epochs in the moving window; about 1 % of the run is a good value.

    Reference:
        Kaddour 2022, Stop Wasting My Time! Ajroldi et al. 2025, When, Where and Why to Average Weights?
    """

    k: int

    _repr_html_ = as_html

    def __post_init__(self):
        check_whole(self, "k")

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return no schedule, and the end of every epoch."""
        return checkpoints().plan(epochs, steps_per_epoch)

    def fold(self, into: Any) -> Any:
        """Return the moving window, written to `into`."""
        from manyminima.averaging.folds import LastK

        return LastK(self.k, into=into)
