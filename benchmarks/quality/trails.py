"""Trails: what a run passes through. One training run, read at every epoch's end, answers for many methods at once.

A trail is trained by `manyminima`'s engine, eight of them in one compiled program. Read are the newest weights and three
moving averages of every fourth step, as `mm.Ema(decay, every=4)` takes them. Trails are kept outside the repository, one file
each, so that an interrupted search goes on where it stopped.
"""

import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import manyminima as mm
from manyminima.training.engine.replicas import train_replicas
from manyminima.training.memory import Memory
from quality.problem import BATCH, CACHE, EPOCHS, data, network, per_epoch, rows
from quality.rates import RATES, own_steps

__all__ = ["AVERAGES", "Trail", "forget", "missing", "predict", "train"]

DECAYS = (0.98, 0.99, 0.995)
AVERAGES = ("newest", *(f"ema {decay}" for decay in DECAYS))
_EVERY = 4  # steps
_TOGETHER = 8


@dataclass(frozen=True)
class Trail:
    """One run: its learning rate by name, its peak, its length, and the seed of its weights and batches; how often it is read."""

    rate: str
    peak: float
    seed: int
    epochs: int = EPOCHS
    batch: int = BATCH
    per_epoch: int = 1

    @property
    def path(self) -> Path:
        often = f"-r{self.per_epoch}" if self.per_epoch > 1 else ""
        return CACHE / "trails" / f"{self.rate}-e{self.epochs}-b{self.batch}-p{self.peak:g}-s{self.seed}{often}.npz"

    @property
    def kind(self) -> tuple:
        """Trails of one kind are read at the same steps, so that they can be trained together."""
        return self.rate, self.epochs, self.batch, self.per_epoch

    @property
    def reads(self) -> tuple[int, ...]:
        """The steps after which it is read: so often in each epoch, and where the rate's own recipe collects."""
        steps = per_epoch(self.batch)
        apart = steps // self.per_epoch
        ends = range(apart, self.epochs * steps + 1, apart)
        return tuple(sorted({*ends, *own_steps(self.rate, self.epochs, steps)}))


@dataclass(frozen=True)
class Walk:
    """A recipe that follows another one's learning rate, and collects every fourth step and wherever it is read."""

    recipe: Any
    reads: tuple[int, ...]

    def plan(self, epochs: int, steps_per_epoch: int) -> mm.recipes.Plan:
        often = range(_EVERY, epochs * steps_per_epoch + 1, _EVERY)
        rate = self.recipe.plan(epochs, steps_per_epoch).lr
        return mm.recipes.Plan(rate, mm.when.At(tuple(sorted({*often, *self.reads}))))

    def fold(self, into: Any) -> "Readings":
        return Readings(frozenset(self.reads))


class Readings:
    """A fold that keeps, of some of the steps, the newest weights and their moving averages, one member each."""

    def __init__(self, reads: frozenset[int]):
        self._reads, self._memory = reads, Memory()

    def begin(self, run: Mapping[str, Any] | None = None) -> None:
        self._memory.begin(run)
        self._averages = [mm.Ema(decay**_EVERY) for decay in DECAYS]

    def add(self, weights: Any, step: int, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        if step % _EVERY == 0:
            for average in self._averages:
                average.add(weights, step)
        if step in self._reads:
            for found in (weights, *(average.average for average in self._averages)):
                self._memory.add(found, step)

    @property
    def members(self) -> list:
        return self._memory.members

    def __len__(self) -> int:
        return len(self._memory)

    def __iter__(self) -> Iterator:
        return iter(self._memory)


def missing(trails: Iterable[Trail], place: int = 0, count: int = 1) -> list[list[Trail]]:
    """The trails that have not been trained, in groups that are trained together; of these every `count`-th."""
    kinds: dict[tuple, list[Trail]] = {}
    for trail in dict.fromkeys(trails):
        kinds.setdefault(trail.kind, []).append(trail)
    groups = [alike[i : i + _TOGETHER] for alike in kinds.values() for i in range(0, len(alike), _TOGETHER)]
    left = [[trail for trail in group if not trail.path.exists()] for group in groups[place::count]]
    return [group for group in left if group]


def train(group: list[Trail]) -> float:
    """Train these trails together and keep them; return the seconds it took."""
    begin = time.perf_counter()
    first = group[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the loss of .* became NaN", UserWarning)  # it scores infinity
        ensemble = train_replicas(
            network,
            (data().x_train, data().y_train),
            [Walk(RATES[trail.rate](trail.peak), trail.reads) for trail in group],
            [trail.seed for trail in group],
            epochs=first.epochs,
            batch_size=first.batch,
        )
    # Members are sorted by step and replica; each read is one member for each average.
    flat = np.stack([np.concatenate([array.ravel() for array in member]) for member in ensemble])
    flat = flat.reshape(len(first.reads), len(group), len(AVERAGES), -1)
    first.path.parent.mkdir(parents=True, exist_ok=True)
    for place, trail in enumerate(group):
        half_done = trail.path.with_suffix(f".{os.getpid()}")
        with half_done.open("wb") as file:
            np.savez(file, weights=flat[:, place], steps=np.array(first.reads))
        half_done.rename(trail.path)
    return time.perf_counter() - begin


@lru_cache(maxsize=1)
def _predictor() -> mm.Ensemble:
    model = network()
    return mm.Ensemble(model, [model.get_weights()])


@lru_cache(maxsize=64)
def _weights(trail: Trail) -> dict[int, np.ndarray]:
    with np.load(trail.path) as file:
        return dict(zip(file["steps"].tolist(), file["weights"], strict=True))


def _members(trail: Trail, average: str, steps: tuple[int, ...]) -> list[np.ndarray]:
    """Flat weights: those that were read, or, for "mean 3", the mean of the newest weights of three reads."""
    read = _weights(trail)
    if average in AVERAGES:
        return [read[step][AVERAGES.index(average)] for step in steps]
    count, ends = int(average.removeprefix("mean ")), sorted(read)
    windows = [ends[max(0, ends.index(step) - count + 1) : ends.index(step) + 1] for step in steps]
    return [np.mean([read[step][0] for step in window], axis=0) for window in windows]


_probs: dict[tuple, np.ndarray] = {}


def predict(trail: Trail, average: str, steps: tuple[int, ...], part: str) -> np.ndarray:
    """What the weights of these steps predict for the rows of a part, (steps, examples, classes); NaN where they diverged."""
    new = tuple(step for step in steps if (trail, average, step, part) not in _probs)
    members = _members(trail, average, new)
    good = [i for i, flat in enumerate(members) if np.isfinite(flat).all()]
    x = rows(part)[0]
    found = np.full((len(new), len(x), data().outputs), np.nan, "float32")
    if good:
        shapes = [tuple(w.shape) for w in _predictor().model.weights]
        cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        unflat = [[p.reshape(s) for p, s in zip(np.split(members[i], cuts), shapes, strict=True)] for i in good]
        found[good] = _predictor().of(unflat).predict_members(x, batch_size=len(x))
    for step, probs in zip(new, found, strict=True):
        _probs[trail, average, step, part] = probs
    return np.stack([_probs[trail, average, step, part] for step in steps])


def forget() -> None:
    """Let go of all predictions: those for many rows fill the memory."""
    _probs.clear()
