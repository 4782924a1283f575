"""Replicas trained together in one program. JAX only."""

import os
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from manyminima.averaging.folds import Average
from manyminima.recipes import Plan
from manyminima.training.engine import known, loop
from manyminima.training.engine.data import Feed
from manyminima.training.engine.plan import Job, Orders
from manyminima.training.engine.program import Parts, Program, choose, program
from manyminima.training.engine.stacked import Stacked
from manyminima.training.engine.start import State, check_supported, first_state, start
from manyminima.training.engine.step import check_pure, trace_results, trace_step
from manyminima.training.engine.unrolled import Unrolled
from manyminima.training.instep import InStep

__all__ = ["Together"]


class Together:
    """A program, and the replicas that it is to train.

    Args:
        job: what is to be trained.
        orders: what its recipes mean.
        folds: where each replica's members go.
        model: of the first replica.
        build_model: returns the others.
        room: bytes of data that may stay on a device; None is a share of what it has.

    Raises:
        Impure: the model's training cannot be part of a program.
        ValueError: replicas start alike, or have different architectures.

    Attributes:
        record: what the run writes down about its execution.
    """

    def __init__(
        self,
        job: Job,
        orders: Orders,
        folds: Sequence[Any],
        model: keras.Model,
        build_model: Callable,
        room: int | None,
    ):
        check_supported(model)
        self._folds, self._job, self._orders = folds, job, orders
        self._instep: InStep | None = None
        signed = known.signature(model, job.first_batch, orders.driven, self._average())
        step = known.recall(signed)
        metrics = None if step is None or job.validation_data is not None else step.metrics
        state = first_state(model, job.first_batch, self._follow, metrics)
        self._feed = Feed(job.data, job.batch_size, job.seeds, job.epochs, _room() if room is None else room)
        step = step or known.keep(_traced(signed, model, state, self._feed, orders.driven))
        self._feed.cut(step.whole.work)
        schedules, which = _different(orders.plans)
        early = self._choose(model, None, step) if signed else None
        if early and self._feed.resident:  # it is compiled while the other replicas are built
            table = np.zeros((len(schedules), job.total) if schedules else (1, 1), "float32")
            early.prepare(state, table, self._feed.held, self._feed.shape)
        self._start = start(model, state, build_model, job.seeds, job.first_batch, self._follow)
        self._program = early or self._choose(model, self._start.second, step)
        self._rates = _table(schedules, job.total), which
        self.record = {
            "execution": type(self._program).__name__.lower(),
            "devices": len(self._program.devices),
            "resident": self._feed.resident,
        }

    def _choose(self, model: keras.Model, second: keras.Model | None, step: known.Known) -> Program:
        """Return the program for these replicas, one that is kept if their training step is the same, and give it the data.

        Args:
            model: of the first replica.
            second: of another one; None: there is none, or it can be no different.
            step: the training step.
        """
        feed, driven, devices = self._feed, self._orders.driven, jax.local_devices()
        replicas, smaller = len(feed.seeds), feed.rows % feed.batch_size
        batch, rest = feed.first(feed.batch_size), feed.first(smaller)
        whole, results = step.whole, step.results
        execution = choose(model, whole.work, self._job.execution)
        checked = second is not None
        key = (execution, whole.hash, results.hash, feed.batch_size, smaller, replicas, checked, tuple(devices))

        def make() -> Program:
            model._symbolic_build(data_batch=batch)  # not done yet if its step was known
            if step.signed is None:
                check_pure(model, second, whole, batch, driven)
            parts = Parts(whole, trace_step(model, rest, driven) if smaller else None, results, feed.batch_size)
            return {"stacked": Stacked, "unrolled": Unrolled}[execution](parts, replicas, devices)

        chosen = program(key, make)
        feed.hold(chosen.put)
        return chosen

    def _follow(self, model: keras.Model) -> None:
        """Have an average that is taken after every step kept by the model's optimizer; the first one serves to read it."""
        if self._average() is not None:
            fold = self._folds[0]
            instep = InStep(model, fold, round(fold.start * self._job.total), owner=self)
            self._instep = self._instep or instep

    def _average(self) -> tuple | None:
        """Return what the average that is taken inside the training step computes; None: there is none."""
        fold = self._folds[0]
        if not isinstance(fold, Average) or fold.every is None:
            return None
        return fold.rule, fold.every, round(fold.start * self._job.total), fold.averaged

    def train(self, progress: Callable[[int, int], Any]) -> tuple[keras.Model, dict[str, np.ndarray]]:
        """Return the first replica's model as it is at the end, and the history, (epochs, replicas, ...)."""
        job, orders, model = self._job, self._orders, self._start.model
        collector = loop.Collector(model, self._folds, orders.plans, job.steps, self._instep, job.validation_data)
        table, which = self._rates
        carry = self._program.begin(self._start.states, which, table)
        carry, history = loop.run(self._program, carry, self._feed, orders.due, collector, progress)
        model.set_weights(collector.weights(self._program.fetch(carry, (0, 1))[0]))
        if self._instep is not None:
            self._instep.remove()
        return model, history


def _traced(signed: str | None, model: keras.Model, state: State, feed: Feed, driven: bool) -> known.Known:
    """Return the training step of a whole batch, what metrics say, and their first values."""
    whole, results = trace_step(model, feed.first(feed.batch_size), driven), trace_results(model)
    return known.Known(signed, whole, results, state[3])


def _different(plans: Sequence[Plan]) -> tuple[list[Callable], np.ndarray]:
    """Return the different schedules, and which of them each replica has, int32."""
    different: list[Callable] = []
    which = []
    for plan in plans:
        if plan.lr is not None and plan.lr not in different:
            different.append(plan.lr)
        which.append(0 if plan.lr is None else different.index(plan.lr))
    return different, np.array(which, "int32")


def _table(schedules: Sequence[Callable], total: int) -> np.ndarray:
    """Return the rates of all steps, a row for each schedule, float32."""
    rows = [(_row if isinstance(lr, Hashable) else _row.__wrapped__)(lr, total) for lr in schedules]
    return np.stack(rows) if rows else np.zeros((1, 1), "float32")


@lru_cache(maxsize=16)
def _row(lr: Callable, total: int) -> np.ndarray:
    """Return the rates of a schedule, bit for bit those that it gives inside a compiled training step."""
    return np.asarray(jax.jit(jax.vmap(lr))(jnp.arange(total, dtype="int32")), "float32")


def _room() -> int:
    """Return how many bytes of data may stay on a device: half of what is free there, a quarter of a CPU's memory."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return (stats["bytes_limit"] - stats.get("bytes_in_use", 0)) // 2
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    return 2**30
