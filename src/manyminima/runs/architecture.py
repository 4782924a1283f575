"""A model as data: what a run records of it, and how it is built again from nothing but the run.

Rebuilding never executes code out of the files, see `vetting`.
"""

import contextlib
import copy
import json
import random
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras.src.saving.serialization_lib import ObjectSharingScope  # as `model.save` does: a layer used twice stays one

from manyminima.runs.tensorflow import tensorflow_not_imported
from manyminima.runs.vetting import uses_only_keras, vet, without_values

__all__ = [
    "adapts",
    "adopt",
    "check_adapted",
    "check_weights",
    "describe",
    "rebuild",
    "rebuild_of",
    "summarise",
    "untouched_random_state",
    "variables",
]


def variables(model: keras.Model) -> list[dict[str, Any]]:
    """Return path, shape, dtype, trainability, and whether it may be averaged, of each of `model.weights`, in their order."""
    averaged = _averaged(model)
    return [
        {
            "path": v.path,
            "shape": list(v.shape),
            "dtype": keras.backend.standardize_dtype(v.dtype),
            "trainable": v.trainable,
            "averaged": mean,
        }
        for v, mean in zip(model.weights, averaged, strict=True)
    ]


def _averaged(model: keras.Model) -> list[bool]:
    """Return for each of `model.weights` whether a mean of it makes sense.

    Not for integers, for float8's scales, which Keras overwrites instead of training them, nor for any variable of a layer
    that holds quantised integers: they belong together.
    """
    quantised = {
        id(v)
        for layer in model._flatten_layers()
        if getattr(layer, "quantization_mode", None) not in (None, "float8")
        for v in layer.weights
    }
    kinds = [keras.backend.standardize_dtype(v.dtype) for v in model.weights]
    return [
        kind in ("float16", "bfloat16", "float32", "float64")
        and not getattr(v, "overwrite_with_gradient", False)
        and id(v) not in quantised
        for v, kind in zip(model.weights, kinds, strict=True)
    ]


def summarise(model: keras.Model) -> dict[str, Any]:
    """Return a model's name and its number of parameters."""
    return {"name": model.name, "parameters": int(sum(np.prod(v.shape) for v in model.weights))}


def describe(model: keras.Model, custom_objects: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return name, number of parameters and config of a model, after proving that it can be built again from them.

    Raises:
        ValueError: the model cannot be rebuilt; the message says what to register, or the way out.
    """
    about = summarise(model)
    try:
        with ObjectSharingScope(), tensorflow_not_imported():
            config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)  # losses and metrics are not needed to predict, and may be anything
        config = _through_json(config)
        # The model is the user's own and alive: its lambdas are no stranger's code yet. Loading asks.
        twin = rebuild({**about, "config": config}, custom_objects, safe_mode=False)
        check_weights(variables(twin), variables(model), "its rebuilt twin", model.name)
    except Exception as error:
        raise ValueError(
            f"model '{model.name}' could not be rebuilt from a run: {error}\n"
            f"Make its classes serialisable (get_config, and @keras.saving.register_keras_serializable()), or train with "
            f"into=mm.Snapshots(path, rebuild=False) and predict with mm.Ensemble(model, mm.Snapshots(path))."
        ) from error
    return {**about, "config": config}


def rebuild(
    about: Mapping[str, Any] | None, custom_objects: Mapping[str, Any] | None = None, *, safe_mode: bool = True
) -> keras.Model:
    """Build a model from what a run recorded; its weights are fresh.

    Args:
        about: the run's "model" entry.
        custom_objects: classes and functions by name, beside those registered with Keras.
        safe_mode: refuse pickled lambdas, which execute code from the file.
    """
    config, known = _vetted(about, custom_objects, safe_mode)
    return _build(config, known, safe_mode)


def rebuild_of(
    about: Mapping[str, Any] | None,
    shapes: Sequence[Sequence[int]],
    where: str,
    custom_objects: Mapping[str, Any] | None = None,
    *,
    safe_mode: bool = True,
) -> keras.Model:
    """Build a model from what a stranger may have recorded; memory is taken only once its variables are those of its members.

    Args:
        about: the run's "model" entry.
        shapes: of the arrays of the members, which are at hand.
        where: what these were read from, for messages.
        custom_objects: as for `rebuild`.
        safe_mode: as for `rebuild`; False also trusts the sizes that the model has.

    Raises:
        ValueError: Keras cannot build it, or it is another model than the members'.
    """
    config, known = _vetted(about, custom_objects, safe_mode)
    sizes_trusted = not safe_mode or not uses_only_keras(config, known)
    try:
        with contextlib.nullcontext() if sizes_trusted else without_values():
            model = _build(config, known, safe_mode)
            if not isinstance(model, keras.Model):
                raise ValueError(f"it is a {type(model).__name__}, and no model")
            check_weights([{"shape": shape} for shape in shapes], variables(model), where, model.name)
        return model
    except Exception as error:  # whatever a config can make Keras raise
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"the model that the run describes cannot be built: {kind}{str(error)[:600]}") from error


def _vetted(
    about: Mapping[str, Any] | None, custom_objects: Mapping[str, Any] | None, safe_mode: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    if not about or "config" not in about:
        raise ValueError(
            "this run does not hold its model's architecture. Build the model and write mm.Ensemble(model, mm.Snapshots(path))."
        )
    known = dict(custom_objects or {})
    vet(about["config"], known, safe_mode)
    return copy.deepcopy(about["config"]), known  # Keras takes a functional model's config apart while it reads it


def _build(config: dict[str, Any], custom_objects: dict[str, Any], safe_mode: bool) -> keras.Model:
    with untouched_random_state(), ObjectSharingScope():
        return keras.saving.deserialize_keras_object(config, custom_objects=custom_objects, safe_mode=safe_mode)


def _through_json(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config as a run will give it back: no infinities, and no objects that JSON does not know."""
    return json.loads(json.dumps(config, allow_nan=False, default=lambda number: number.tolist()))


def check_weights(found: Sequence[Mapping], expected: Sequence[Mapping], where: str, model: str) -> None:
    """Compare two lists of variables by shape, in order; paths serve the message only.

    Raises:
        ValueError: they differ; the message names the first difference.
    """
    pairs = list(zip(found, expected, strict=False))
    first = next((i for i, (a, b) in enumerate(pairs) if list(a["shape"]) != list(b["shape"])), None)
    if first is None and len(found) == len(expected):
        return
    text = f"{where} holds {len(found)} arrays, and model '{model}' has {len(expected)}."
    if first is not None:
        a, b = pairs[first]
        path = re.sub(r"_\d+(?=/)", "", b.get("path") or a.get("path") or "?")
        text += f" The first difference is array {first}, '{path}': {tuple(a['shape'])} there, {tuple(b['shape'])} in the model."
    raise ValueError(f"{text} Rebuild the model that was trained in that run, or collect again.")


def adopt(model: keras.Model, weights: Sequence[np.ndarray]) -> None:
    """Give a model of our own making a member's weights.

    Layers such as `Normalization` compute with constants that they derive from their weights once; they do so again here.
    """
    model.set_weights(weights)
    for layer in _adapting(model):
        layer.finalize_state()


def check_adapted(model: keras.Model, weights: Sequence[np.ndarray]) -> None:
    """Raise ValueError if a layer of the model was adapted to other data than the member's: it would predict with that.

    A member's weights stand in for the model's variables, but not for what `Normalization` has derived from them.
    """
    positions = {id(v): i for i, v in enumerate(model.weights)}
    for layer in _adapting(model):
        for v in layer.weights:
            if not np.allclose(keras.ops.convert_to_numpy(v), weights[positions[id(v)]], equal_nan=True):
                raise ValueError(
                    f"layer '{layer.name}' of model '{model.name}' was adapted to other data than the members' was. Use the "
                    f"model that was trained, or let mm.load rebuild it from its run."
                )


def adapts(model: keras.Model) -> bool:
    """Tell whether a layer of the model computes with what it has derived from its weights."""
    return bool(_adapting(model))


def _adapting(model: keras.Model) -> list:
    return [layer for layer in model._flatten_layers() if hasattr(layer, "finalize_state") and layer.weights]


@contextlib.contextmanager
def untouched_random_state():
    """Leave the global random generators as they were: building layers draws seeds from them."""
    python = random.getstate()
    numpy = np.random.get_state()  # noqa: NPY002
    torch = sys.modules.get("torch")
    state = torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        if torch:
            torch.set_rng_state(state)
