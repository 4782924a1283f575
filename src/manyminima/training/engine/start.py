"""Where the engine's replicas start: models that `build_model` makes, each under the seed of its replica."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

from manyminima.runs import architecture
from manyminima.runs.tensorflow import tensorflow_not_imported

__all__ = [
    "Impure",
    "Start",
    "build",
    "check_supported",
    "check_two",
    "first_state",
    "start",
    "state_of",
    "untouched_generators",
    "variables_of",
]

PARTS = ("trainable", "non-trainable", "optimizer", "metric")

State = list[list[Any]]  # values of the variables in `PARTS`, in the order of Keras's own training step


class Start(NamedTuple):
    """A model for all replicas, one more for the second of them (None: there is one only), and the state of each."""

    model: keras.Model
    second: keras.Model | None
    states: list[State]


class Impure(Exception):
    """Why a model's training cannot be part of the engine's program."""


def first_state(model: keras.Model, batch: tuple, prepare: Callable, metrics: list | None) -> State:
    """Return the state of the first replica, after building what of its model is not built yet.

    Args:
        model: compiled, and built.
        batch: one batch of the data, for metrics that are built by what they see.
        prepare: called with the model, once its optimizer is built.
        metrics: values of the metrics' variables; None: they have to be built.
    """
    with untouched_generators():
        if metrics is None:
            model._symbolic_build(data_batch=batch)
        _prepare(model, prepare)
    state = state_of(model)
    return state if metrics is None else [*state[:3], metrics]


def start(
    first: keras.Model,
    state: State,
    build_model: Callable[[], keras.Model],
    seeds: Sequence[int],
    batch: tuple,
    prepare: Callable,
) -> Start:
    """Build one model for each other seed, leaving the global random generators as they were.

    Args:
        first: the model of the first seed.
        state: of the first replica.
        build_model: returns a compiled model.
        seeds: one for each replica; replicas of the same seed start from the same state.
        batch: one batch of the data, for models that are built by what they see.
        prepare: called with each model, once its optimizer is built.

    Raises:
        ValueError: two seeds gave the same weights, or models of different architectures.
    """
    states: dict[int, State] = {seeds[0]: state}
    second, slots = None, None
    with untouched_generators():
        for seed in list(dict.fromkeys(seeds))[1:]:
            model = build(build_model, seed, batch)
            as_others = slots is not None and _same(model.optimizer.variables, slots)
            if not as_others:
                _prepare(model, prepare)
            _check_alike(first, model, PARTS[: 2 if as_others else 3], seeds[0], seed)
            own = state_of(model)
            # The metrics of the other models are not built, nor, after the second, their optimizers where all start alike.
            states[seed] = [*own[:2], slots if slots is not None and as_others else own[2], state[3]]
            if second is None:
                second = model
                slots = own[2] if _same(first.optimizer.variables, own[2]) else None  # they come from no weights
    _check_different(states)
    return Start(first, second, [states[seed] for seed in seeds])


def _prepare(model: keras.Model, prepare: Callable) -> None:
    if not model.optimizer.built:  # one that scales losses would make its variables twice
        model.optimizer.build(model.trainable_variables)
    prepare(model)


def check_two(build_model: Callable[[], keras.Model], seeds: Sequence[int], batch: tuple) -> None:
    """Raise ValueError if the models of the first two different seeds have the same weights; the others are not built."""
    two = list(dict.fromkeys(seeds))[:2]
    _check_different({seed: [_numbers(build(build_model, seed, batch).trainable_variables)] for seed in two})


def check_supported(model: keras.Model) -> None:
    """Raise Impure if `fit` of this model is something else than Keras's compiled step, batch after batch."""
    if model.run_eagerly or not model.jit_compile:
        raise Impure("it is compiled with run_eagerly=True or jit_compile=False, or has layers that cannot be compiled")
    own = [name for name in ("fit", "make_train_function", "train_function") if _overrides(model, name)]
    if own:
        raise Impure(f"it has a {own[0]} of its own")
    if keras.distribution.distribution() is not None:
        raise Impure("a distribution is set with keras.distribution")


def _overrides(model: keras.Model, name: str) -> bool:
    held = vars(model).get(name)
    return held is not None or getattr(type(model), name, None) is not getattr(keras.Model, name, None)


def build(build_model: Callable[[], keras.Model], seed: int, batch: tuple) -> keras.Model:
    """Return a compiled model, built, whose weights belong to the seed."""
    with tensorflow_not_imported():
        keras.utils.set_random_seed(seed)
    model = build_model()
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"build_model() returned {model!r:.60}: expected a compiled Keras model. End the function with return model."
        )
    if not model.compiled:
        raise ValueError(
            f"model '{model.name}' is not compiled: call model.compile(optimizer=…, loss=…) in build_model before return model."
        )
    if model.optimizer is None:
        raise ValueError(f"model '{model.name}' is compiled without an optimizer: write model.compile(optimizer=…).")
    if not model.built:
        model._symbolic_build(data_batch=batch)
    return model


def variables_of(model: keras.Model) -> list[list[Any]]:
    """Return the model's variables in the order of `PARTS`."""
    return [
        list(model.trainable_variables),
        list(model.non_trainable_variables),
        list(model.optimizer.variables),
        list(model.metrics_variables),
    ]


def state_of(model: keras.Model) -> State:
    """Return host copies of the values of all variables."""
    return [_numbers(part) for part in variables_of(model)]


def _numbers(variables: Sequence[Any]) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


@contextlib.contextmanager
def untouched_generators() -> Iterator[None]:
    """Leave all global random generators as they were, Keras's own among them."""
    names = (GLOBAL_RANDOM_SEED, GLOBAL_SEED_GENERATOR)
    held = [global_state.get_global_attribute(name) for name in names]
    with architecture.untouched_random_state():
        try:
            yield
        finally:
            for name, value in zip(names, held, strict=True):
                global_state.set_global_attribute(name, value)


def _same(variables: Sequence[Any], values: Sequence[np.ndarray]) -> bool:
    """Whether the variables, which may be the first of more to come, have these values."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(_numbers(variables), values, strict=False))


def _check_alike(first: keras.Model, model: keras.Model, parts: Sequence[str], seed: int, other: int) -> None:
    for name, ours, theirs in zip(parts, variables_of(first), variables_of(model), strict=False):
        shapes, found = ([(tuple(v.shape), str(v.dtype)) for v in part] for part in (ours, theirs))
        if shapes != found:
            raise ValueError(
                f"build_model() returned a model of another architecture under seed {other} than under seed {seed}: its "
                f"{name} variables have the shapes {_few(found)}, not {_few(shapes)}. Replicas share one program: build the same "
                f"layers each time, or train the architectures one after the other."
            )


def _few(shapes: list[tuple]) -> str:
    return ", ".join(str(shape) for shape, _ in shapes[:6]) + (", …" if len(shapes) > 6 else "")


def _check_different(states: dict[int, State]) -> None:
    """Raise ValueError if two seeds gave the same weights: seeded initialisers make copies, not an ensemble."""
    seen: dict[bytes, int] = {}
    for seed, state in states.items():
        digest = hashlib.sha256(b"".join(array.tobytes() for array in state[0])).digest()
        if seen.setdefault(digest, seed) != seed:
            raise ValueError(
                f"build_model() gave the same first weights under seed {seen[digest]} and under seed {seed}, so these replicas "
                f"would be near copies. Leave seed= out of the layers' initialisers, do not call set_random_seed in build_model, "
                f"and build new layers at each call; or write replicas=1."
            )
