"""One ordinary Keras model out of many members."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from manyminima.calibrate import Isotonic, Temperature
from manyminima.combination import Combination
from manyminima.inference.outputs import by_name
from manyminima.metrics import NLL_FLOOR
from manyminima.runs import architecture
from manyminima.runs.format import Weights
from manyminima.runs.tasks import Task

__all__ = ["combined", "copy_of"]


def combined(
    model: keras.Model, members: Sequence[Weights], task_of: Callable[[str], Task], combination: Combination
) -> keras.Model:
    """Return a functional model whose output is the members' combined probabilities, of the same shape as `model`'s.

    Every member that counts is a copy of `model`, named `member_000`, `member_001`, … It contains no class of this package, so
    the saved file loads with Keras alone. `training=False` is pinned: layers of the `Random…` kind would otherwise be active.
    """
    if isinstance(combination.calibrator, Isotonic):
        raise ValueError(
            "Keras has no layer for isotonic regression. Calibrate by temperature, or export without: "
            "ensemble.combined_by(None).to_keras()."
        )
    config = _config(model)
    inputs = _inputs(model)
    coefficients = combination.coefficients(len(members))
    counting = [int(k) for k in np.flatnonzero(coefficients)]
    copies = [_copy(config, f"member_{k:03d}", members[k], inputs, model) for k in counting]
    named = [by_name(copy, model) for copy in copies]
    means = {}
    for name in named[0]:
        probs = [_probabilities(one[name], task_of(name)) for one in named]
        if combination.calibrator is None:
            means[name] = _mean(probs, coefficients[counting])
        else:
            means[name] = _softened(probs, task_of(name), coefficients[counting], combination.calibrator)
    outputs = list(means.values()) if isinstance(copies[0], list | tuple) else means.get("", means)
    ensemble = keras.Model(inputs, outputs, name=f"{model.name}_ensemble")
    ensemble.trainable = False
    return ensemble


def _config(model: keras.Model) -> dict[str, Any]:
    try:
        config = keras.saving.serialize_keras_object(model)
    except NotImplementedError as error:
        raise ValueError(f"model '{model.name}' cannot be copied: {error}\nGive its class a get_config().") from error
    config.pop("compile_config", None)
    return config


def _inputs(model: keras.Model) -> Any:
    def symbolic(tensor):
        return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)

    # A functional model's inputs, as dict or list where they are one.
    structure = getattr(model, "_inputs_struct", None)
    structure = getattr(model, "input", None) if structure is None else structure
    if structure is not None:
        return keras.tree.map_structure(symbolic, structure)
    shapes = (model.get_build_config() or {}).get("input_shape")
    if shapes is None:
        raise ValueError(
            f"model '{model.name}' does not say what its inputs are. Call it once on data, or model.build(input_shape), "
            f"before to_keras()."
        )
    if isinstance(shapes, Mapping):
        return {name: keras.Input(batch_shape=(None, *shape[1:]), name=name) for name, shape in shapes.items()}
    return keras.tree.map_shape_structure(lambda shape: keras.Input(batch_shape=(None, *shape[1:])), shapes)


def copy_of(model: keras.Model, name: str) -> keras.Model:
    """Return a new model of the same architecture, with weights of its own that are yet to be set.

    Raises:
        ValueError: the model cannot be copied; the message says what its classes lack.
    """
    return _instance(_config(model), name, model)


def _copy(config: dict, name: str, weights: Weights, inputs: Any, model: keras.Model) -> Any:
    member = _instance(config, name, model)
    architecture.adopt(member, weights)
    return member(inputs, training=False)


def _instance(config: dict, name: str, model: keras.Model) -> keras.Model:
    config = copy.deepcopy(config)
    if "name" in config["config"]:
        config["config"]["name"] = name
    classes = {type(layer).__name__: type(layer) for layer in model._flatten_layers()}  # registered or not
    with architecture.untouched_random_state():
        try:
            member = keras.saving.deserialize_keras_object(config, classes, safe_mode=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"model '{model.name}' cannot be copied: {error}\nDecorate its classes and functions with "
                f"@keras.saving.register_keras_serializable(), and check their get_config()."
            ) from error
        member.name = name
    architecture.check_weights(
        architecture.variables(member), architecture.variables(model), f"the copy '{name}'", model.name
    )
    return member


def _probabilities(output: Any, task: Task) -> Any:
    if not task.from_logits or task.kind == "regression":
        return output
    return keras.layers.Activation("softmax" if task.kind == "multiclass" else "sigmoid")(output)


def _mean(outputs: list, coefficients: np.ndarray) -> Any:
    if len(outputs) == 1:
        return outputs[0]
    if np.ptp(coefficients) == 0:
        return keras.layers.Average()(outputs)
    shares = zip(coefficients, outputs, strict=True)
    return keras.layers.Add(dtype="float32")([keras.layers.Rescaling(float(c), dtype="float32")(o) for c, o in shares])


def _softened(outputs: list, task: Task, coefficients: np.ndarray, calibrator: Temperature) -> Any:
    """The temperature on the mean, floored as `calibrate` does it; a single unit stands for one of two classes.

    What a unit leaves to the other class is taken member by member: 1 minus a mean close to 1 has too few digits.
    """
    outputs = [keras.ops.cast(output, "float32") for output in outputs]
    cooler = keras.layers.Rescaling(1 / calibrator.temperature, dtype="float32")
    logs = _log(_mean(outputs, coefficients))
    if task.kind == "multiclass":
        return keras.layers.Activation("softmax", dtype="float32")(cooler(logs))
    others = _log(_mean([1 - output for output in outputs], coefficients))
    return keras.layers.Activation("sigmoid", dtype="float32")(cooler(logs - others))


def _log(probs: Any) -> Any:
    return keras.ops.log(keras.ops.maximum(probs, NLL_FLOOR))
