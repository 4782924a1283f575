"""Folds that make one model of many while training goes on: Mean, Ema and LastK. NumPy only.

    Collect(recipe, into=mm.Mean())                        one member: the mean of all that the recipe collects
    Collect(recipe, into=mm.Ema(0.999))                    one member: the moving average after every optimizer step
    Collect(recipe, into=mm.Ema(0.99, into="runs/x"))      the moving average is a member of the run at each collection
    Collect(recipe, into=["runs/x", mm.Mean()])            the members, and their mean

The model itself trains on and ends with the raw weights of its last step. Averages of models with BatchNormalization need
`mm.refresh_batchnorm`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from manyminima.averaging.running import Running, Window
from manyminima.parameters import is_number, is_whole
from manyminima.runs.format import Member, Weights
from manyminima.runs.snapshots import Snapshots

__all__ = ["Average", "Ema", "LastK", "Mean"]


def Mean(into: Any = None, *, every: int | None = None, start: float = 0.0) -> "Average":
    """The equal mean of what is collected: Polyak–Ruppert averaging, SWA. Sums are float64, memory two models.

    Args:
        into: where each new mean goes as a member: a directory or another fold; None keeps the newest, in memory.
        every: with a number, the mean is over the weights after every so many optimizer steps instead, taken inside the
            compiled training step, and the recipe only says when it is written. It then covers the trainable variables;
            the others are those of the moment of writing.
        start: share of the run, 0 up to, not including, 1, before a mean with `every` begins.

    Reference:
        Polyak & Juditsky 1992, Acceleration of Stochastic Approximation by Averaging. Izmailov et al. 2018, Averaging
        Weights Leads to Wider Optima and Better Generalization.

    Example:
        >>> mean = Mean()
        >>> for value in (1.0, 2.0, 6.0):
        ...     mean.add([np.array([value])])
        >>> list(mean)
        [[array([3.])]]
    """
    if not is_number(start) or not 0 <= start < 1 or (start and every is None):
        raise ValueError(f"Mean(every={every!r}, start={start!r}): expected 0 <= start < 1, and every= with it.")
    return Average(Equal(), into, every=every, start=start)


def Ema(decay: float, every: int = 1, *, warmup: bool = False, into: Any = None) -> "Average":
    """The exponential moving average of the weights over optimizer steps, debiased: no trace of the first weights.

    After n steps the weights of step i have the share `decay**(n - i)`, all normalised to sum 1. In `Collect` it is taken
    inside the compiled training step and covers the trainable variables; the others are those of the moment of writing.

    Args:
        decay: for one optimizer step, 0 up to, not including, 1; 0 is the newest weights. For batches κ times as large
            write `decay**κ`.
        every: update after every so many optimizer steps, with `decay**every`.
        warmup: begin with a decay of `(1 + n) / (10 + n)` where that is smaller, to forget the first steps sooner.
        into: where the average goes as a member whenever the recipe collects; None keeps the newest, in memory.

    Reference:
        Polyak & Juditsky 1992. Debiasing: Kingma & Ba 2015, Adam, section 3. Scaling rule: Busbridge et al. 2023.

    Example:
        >>> ema = Ema(0.5)
        >>> for value in (1.0, 4.0):
        ...     ema.add([np.array([value])])
        >>> next(iter(ema))[0].round(6)
        array([3.])
    """
    if not is_number(decay) or not 0 <= decay < 1:
        raise ValueError(f"Ema({decay!r}): expected 0 <= decay < 1, such as 0.999.")
    return Average(Exponential(float(decay ** (every or 1)), warmup), into, every=every)


def LastK(k: int, *, into: Any = None) -> "Average":
    """The equal mean of the newest `k` members: LAWA. Memory is k models.

    Args:
        k: members in the moving window; fewer until so many are there.
        into: where each new mean goes as a member: a directory or another fold; None keeps the newest, in memory.

    Reference:
        Kaddour 2022, Stop Wasting My Time! Saving Days of ImageNet and BERT Training with Latest Weight Averaging.

    Example:
        >>> window = LastK(2)
        >>> for value in (1.0, 2.0, 6.0):
        ...     window.add([np.array([value])])
        >>> list(window)
        [[array([4.])]]
    """
    if not is_whole(k):
        raise ValueError(f"LastK({k!r}): expected a whole number of at least 1.")
    return Average(Newest(int(k)), into)


class Rule(Protocol):
    """How weights are averaged, one set after the other."""

    kind: str

    def accumulator(self, averaged: Sequence[bool] | None) -> Running | Window:
        """Return an empty average; `averaged` says for each array whether it may be averaged."""
        ...


@dataclass(frozen=True)
class Equal:
    """Every set of weights has the same share."""

    kind = "mean"

    def coefficient(self, n, ops: Any = np):
        """Return by how much the n-th weights move the average, n from 1; `ops` is NumPy, or keras.ops if n is traced."""
        return 1 / n

    def accumulator(self, averaged):
        return Running(self.coefficient, averaged)


@dataclass(frozen=True)
class Exponential:
    """Newer weights have larger shares, by a factor of `1 / decay` from one to the next."""

    decay: float
    warmup: bool
    kind = "ema"

    def coefficient(self, n, ops: Any = np):
        """Return by how much the n-th weights move the average, n from 1; `ops` is NumPy, or keras.ops if n is traced."""
        if self.decay == 0:
            return 1.0
        if self.warmup:
            return ops.where(n == 1, 1.0, ops.maximum(1 - self.decay, 9 / (9 + n)))
        return (1 - self.decay) / -ops.expm1(n * float(np.log(self.decay)))

    def accumulator(self, averaged):
        return Running(self.coefficient, averaged)


@dataclass(frozen=True)
class Newest:
    """The newest k have equal shares, older ones none."""

    k: int
    kind = "lawa"

    def accumulator(self, averaged):
        return Window(self.k, averaged)


class Average:
    """What `Mean`, `Ema` and `LastK` return: a fold that yields one member, or a member at each collection with `into`.

    Attributes:
        every: optimizer steps from update to update; None: updated when the recipe collects.
        start: share of the run before the first update.
        into: where members go; None if only the newest is kept.
    """

    def __init__(self, rule: Rule, into: Any = None, *, every: int | None = None, start: float = 0.0):
        if every is not None and not is_whole(every):
            raise ValueError(f"every={every!r}: expected a whole number of optimizer steps, at least 1.")
        self.rule, self.every, self.start = rule, None if every is None else int(every), start
        self.into = Snapshots(into) if isinstance(into, str | os.PathLike) else into
        self._begin(None)

    def __repr__(self):
        clock = "" if self.every is None else f", every={self.every}"
        return f"Average({self.rule!r}, into={self.into!r}{clock})"

    def begin(self, run: Mapping[str, Any] | None = None) -> None:
        """Forget what an earlier `fit` collected, and tell the members' place of this one."""
        self._begin(run)
        if run is not None and hasattr(self.into, "begin"):
            self.into.begin(run)

    def _begin(self, run: Mapping[str, Any] | None) -> None:
        self.run = run
        self.averaged = [v.get("averaged", True) for v in run["variables"]] if run and "variables" in run else None
        self._accumulator = self.rule.accumulator(self.averaged)
        self._newest: Weights | None = None
        self._members: list[Member] = []

    def state(self) -> dict[str, Any]:
        """Return what an interrupted training needs to go on; an average of the training step is in the optimizer."""
        return {
            "accumulator": self._accumulator.state(),
            "newest": None if self._newest is None else list(self._newest),
            "members": [asdict(member) for member in self._members],
            "into": None if self.into is None else self.into.state(),
        }

    def take_up(self, run: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Go on from a state, in place of `begin`."""
        self._begin(run)
        self._accumulator.put_back(state["accumulator"])
        self._newest, self._members = state["newest"], [Member(**known) for known in state["members"]]
        if self.into is not None:
            self.into.take_up(run, state["into"])

    def leave_out(self, step: int, why: str) -> None:
        """Record with the members, where they have a place, that nothing was stored after `step` batches, and why."""
        if hasattr(self.into, "leave_out"):
            self.into.leave_out(step, why)

    @property
    def rebuild(self) -> bool:
        """Whether the members' place must be able to rebuild the model."""
        return getattr(self.into, "rebuild", False)

    def add(self, weights: Weights, step: int = 0, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        """Take one more set of weights into the average."""
        self._accumulator.update(weights)
        self.put(None, step, epoch=epoch, logs=logs)

    def put(
        self, average: Weights | None, step: int, *, epoch: float | None = None, logs: Mapping | None = None
    ) -> None:
        """Write an average that was taken elsewhere; None, where nothing is written, stands for the one of what was added."""
        about = {"epoch": epoch, "logs": dict(logs or {})}
        if self.into is None:
            self._newest = average
            self._members = [Member("", int(step), kind=self.rule.kind, **about)]
            return
        kind = {"kind": self.rule.kind} if isinstance(self.into, Snapshots) else {}
        self.into.add(self.average if average is None else average, step, **kind, **about)

    @property
    def average(self) -> Weights:
        """The average of what was added, whether it was written or not; [] if nothing was."""
        return self._accumulator.weights

    @property
    def members(self) -> list[Member]:
        """Step, epoch and logs of each member."""
        return self._members if self.into is None else getattr(self.into, "members", [])

    def __len__(self) -> int:
        return len(self._members) if self.into is None else len(self.into)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        if self.into is not None:
            return iter(self.into)
        return iter([list(self._newest or self.average)] if self._members else [])
