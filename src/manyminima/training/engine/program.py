"""What the compiled programs of many replicas have in common: parts, states, and which way of execution suits. JAX only.

- "stacked": the step is vectorised over replicas and looped over batches inside one program. Best for small dense networks,
  and on accelerators.
- "unrolled": one program does one batch of up to eight replicas; Python loops over batches. Best on a CPU for convolutions,
  which vectorising turns into slow grouped ones and a loop inside a program into slower ones, and for large networks. A step
  that keeps the cores busy by itself gets a program for one replica.

The choice is a static rule, never a stopwatch. Programs are kept, and serve every model whose training step computes the same.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import jax
import keras
import numpy as np

from manyminima.training.engine.start import State
from manyminima.training.engine.step import Traced

__all__ = ["BUSY", "Carry", "Execution", "Parts", "Program", "Said", "choose", "program", "rows_of"]

Execution = Literal["stacked", "unrolled"]
BUSY = 1e8  # floating-point operations of a step that keeps a CPU's cores busy by itself
_KEPT = 16  # programs

# What metrics say: arrays (epochs, replicas of a group, ...) for each group, under the metric's name.
Said = dict[str, list[Any]]


class Parts(NamedTuple):
    """What a program is made of: the step of a whole batch, that of an epoch's smaller last one, and what metrics say."""

    whole: Traced
    rest: Traced | None
    results: Traced
    batch_size: int


class Carry(NamedTuple):
    """What goes from one call of a program to the next; the first two have an entry for each group of replicas."""

    replicas: list[Any]  # states, and logs of a training step of the user's own
    which: list[Any]  # row of the table of rates, for each replica
    table: Any
    fresh: Any  # metrics at an epoch's begin


class Program(Protocol):
    """Replicas in one program.

    Attributes:
        devices: that it runs on.
    """

    devices: list[Any]

    def put(self, data: Any) -> Any:
        """Return data on the devices."""
        ...

    def prepare(self, state: State, table: np.ndarray, data: Any, shape: Sequence[int]) -> None:
        """Begin to compile for replicas that start like this, and return at once.

        Args:
            state: of one replica.
            table: of rates; its shape counts.
            data: on the devices.
            shape: of the rows that `advance` will be given.
        """
        ...

    def begin(self, states: Sequence[State], which: np.ndarray, table: np.ndarray) -> Carry:
        """Return the replicas' first states, with each one's row of the table of rates, and that table."""
        ...

    def advance(self, carry: Carry, data: Any, rows: np.ndarray, first: int, last: int) -> tuple[Carry, Said]:
        """Do batches `first` up to `last`, counted from the start of `rows`, (epochs, replicas, rows of an epoch).

        Returns the new states, in which the old ones are used up, and what metrics say at the end of each epoch it came
        through; both may be still under way.
        """
        ...

    def fetch(self, carry: Carry, parts: Sequence[int]) -> list[list[list[np.ndarray]]]:
        """Return host copies of the values of these parts of the state, replica by replica."""
        ...


def choose(model: keras.Model, work: float, wanted: str = "auto") -> Execution:
    """Return how replicas of `model` run on this machine, given the work of one step; any `wanted` but "auto" is returned."""
    if wanted != "auto":
        return wanted  # pyright: ignore[reportReturnType]
    convolves = any("Conv" in type(layer).__name__ for layer in model._flatten_layers())
    return "unrolled" if jax.default_backend() == "cpu" and (convolves or work > BUSY) else "stacked"


_programs: OrderedDict[tuple, Program] = OrderedDict()


def program(key: tuple, make: Callable[[], Program]) -> Program:
    """Return the program kept under `key`, or make it."""
    if key not in _programs:
        _programs[key] = make()
    _programs.move_to_end(key)
    while len(_programs) > _KEPT:
        _programs.popitem(last=False)
    return _programs[key]


def rows_of(data: Any, rows: Any) -> Any:
    """Return these rows of all arrays; traced."""
    return jax.tree.map(lambda array: array.at[rows].get(mode="promise_in_bounds"), data)
