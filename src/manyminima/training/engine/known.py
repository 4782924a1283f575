"""Training steps that have been traced before, found again by what their models say of themselves. JAX only.

Tracing takes longer than a small run. A `Sequential` model of Keras's own layers, losses, metrics and optimizers computes what
its config says and nothing else, so another such model with the same config has the same training step. Any other model is
traced each time; it still shares the compiled program where the trace turns out to be the same.
"""

import hashlib
import inspect
import json
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import keras
import numpy as np

from manyminima.runs.tensorflow import tensorflow_not_imported
from manyminima.training.engine.step import Traced

__all__ = ["Known", "keep", "recall", "signature"]

_KEPT = 64
_LAYERS = (
    "Activation", "AveragePooling1D", "AveragePooling2D", "BatchNormalization", "Conv1D", "Conv2D", "Dense",
    "DepthwiseConv2D", "Dropout", "ELU", "Embedding", "Flatten", "GRU", "GaussianDropout", "GaussianNoise",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "InputLayer",
    "LSTM", "LayerNormalization", "LeakyReLU", "MaxPooling1D", "MaxPooling2D", "Normalization", "ReLU", "Rescaling",
    "Reshape", "SeparableConv2D", "Softmax", "ZeroPadding1D", "ZeroPadding2D",
)  # fmt: skip
_OPTIMIZERS = ("SGD", "RMSprop", "Adam", "AdamW", "Nadam", "Adamax", "Adagrad", "Adadelta", "Lion")
_OTHERS = ("Sequential", "DTypePolicy")
_PARTS = ("initializers", "regularizers", "constraints", "losses", "metrics", "activations", "optimizers.schedules")
_WRAPPED = ("build", "quantize")  # methods that Keras itself replaces in every layer


class Known(NamedTuple):
    """A training step, what metrics say, and the values of the metrics' variables at an epoch's begin.

    `signed` is the signature of its model, None if configs do not tell what it computes.
    """

    signed: str | None
    whole: Traced
    results: Traced
    metrics: list[np.ndarray]


_known: OrderedDict[str, Known] = OrderedDict()


def recall(signed: str | None) -> Known | None:
    """Return what is kept under a signature."""
    return None if signed is None else _known.get(signed)


def keep(step: Known) -> Known:
    """Keep a training step under its signature, if it has one, and return it."""
    if step.signed is not None:
        _known[step.signed] = step
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return step


def signature(model: keras.Model, batch: tuple, driven: bool, average: tuple | None = None) -> str | None:
    """Return a text that two models share only if their training steps compute the same; None if configs do not tell.

    Args:
        model: compiled and built.
        batch: whose shapes and dtypes it is trained on.
        driven: whether the learning rate comes from outside.
        average: that the step takes: its rule first, then what else tells one from another; None: there is none.
    """
    if average is not None and not type(average[0]).__module__.startswith("manyminima."):
        return None  # a rule of the user's own may compute what its repr does not tell
    parts = [*model._flatten_layers(), model.optimizer]
    if type(model) is not keras.Sequential or any(map(_changed, parts)):
        return None
    config = _config(model)
    if not all(map(_understood, _objects(config))):
        return None
    shapes = [(leaf.shape, str(leaf.dtype)) for leaf in keras.tree.flatten(batch)]
    variables = [(v.shape, str(v.dtype), v.trainable) for v in model.variables]
    surroundings = (keras.config.floatx(), keras.config.epsilon(), sorted(jax.config.values.items(), key=str))
    begun = int(keras.ops.convert_to_numpy(model.optimizer._iterations))
    told = json.dumps(config, sort_keys=True, default=repr), driven, average, begun, shapes, variables, surroundings
    hasher = hashlib.sha256(repr(told).encode())
    for array in _constants(parts):
        hasher.update(array.tobytes())
    return hasher.hexdigest()


def _config(model: keras.Model) -> dict[str, Any]:
    """Return what a model and its compilation say of themselves, without what differs from one such model to the next."""
    with tensorflow_not_imported(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of functions that no file can hold
        compiled, layers = model.get_compile_config(), model.get_config()
        optimizer = keras.saving.serialize_keras_object(model.optimizer)
    if not isinstance(optimizer["config"].get("learning_rate"), dict):
        optimizer["config"].pop("learning_rate", None)  # a variable
    model_itself = {"module": "keras", "class_name": "Sequential", "registered_name": None, "config": layers}
    return _numberless({"model": model_itself, "compiled": {**compiled, "optimizer": optimizer}})


def _changed(part: Any) -> bool:
    """Whether a layer or optimizer may do what its config does not tell: functions of the user's own, or exempt variables."""
    names = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")  # which no config tells
    excluded = any(getattr(part, name, None) for name in names)
    return excluded or any(
        (inspect.isroutine(held) and not str(held.__module__).startswith(("keras", "jax")))
        or (name not in _WRAPPED and callable(getattr(type(part), name, None)) and callable(held))
        for name, held in vars(part).items()
    )


def _numberless(config: Any) -> Any:
    """Return a config without what numbers objects as they come: names of layers and optimizers, marks of shared objects."""
    if isinstance(config, dict):
        if config.get("class_name") in (*_LAYERS, *_OPTIMIZERS, "Sequential"):
            config = {**config, "config": {key: held for key, held in config["config"].items() if key != "name"}}
        return {key: _numberless(value) for key, value in config.items() if key != "shared_object_id"}
    return [_numberless(value) for value in config] if isinstance(config, list | tuple) else config


def _objects(config: Any) -> Iterator[dict]:
    """Yield every serialised object in a config."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _objects(value)


def _understood(found: dict) -> bool:
    module, name = str(found.get("module")), found["class_name"]
    if found.get("registered_name") is not None:
        return False
    by_name = {"keras": _OTHERS, "keras.models": _OTHERS, "keras.layers": _LAYERS, "keras.optimizers": _OPTIMIZERS}
    return (
        name in by_name[module] if module in by_name else module.startswith(tuple(f"keras.{part}" for part in _PARTS))
    )


def _constants(parts: list[Any]) -> Iterator[np.ndarray]:
    """Yield the arrays that layers hold beside their variables, such as what `adapt` has found."""
    for part in parts:
        for name, held in sorted(vars(part).items()):
            if isinstance(held, np.ndarray | jax.Array):
                yield np.frombuffer(name.encode(), "uint8")
                yield np.asarray(held)
