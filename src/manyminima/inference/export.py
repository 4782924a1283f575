"""One ordinary Keras model out of many members."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from manyminima.runs import architecture
from manyminima.runs.format import Weights
from manyminima.runs.tasks import Task

__all__ = ["averaged"]


def averaged(model: keras.Model, members: Sequence[Weights], task_of: Callable[[str], Task]) -> keras.Model:
    """Return a functional model whose output is the mean of the members' probabilities, of the same shape as `model`'s.

    Every member is a copy of `model`, named `member_000`, `member_001`, … It contains no class of this package, so the saved
    file loads with Keras alone. `training=False` is pinned: layers of the `Random…` kind would otherwise be active.
    """
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    inputs = _inputs(model)
    outputs = [_copy(config, f"member_{k:03d}", weights, inputs, model) for k, weights in enumerate(members)]
    if isinstance(outputs[0], Mapping):
        mean = {key: _mean([o[key] for o in outputs], task_of(key)) for key in outputs[0]}
    elif isinstance(outputs[0], list | tuple):
        names = list(model.output_names)
        mean = [
            _mean(list(column), task_of(name)) for name, column in zip(names, zip(*outputs, strict=True), strict=True)
        ]
    else:
        mean = _mean(outputs, task_of(""))
    ensemble = keras.Model(inputs, mean, name=f"{model.name}_ensemble")
    ensemble.trainable = False
    return ensemble


def _inputs(model: keras.Model) -> Any:
    def symbolic(tensor):
        return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)

    structure = getattr(
        model, "_inputs_struct", None
    )  # a functional model's inputs, as dict or list where they are one
    structure = getattr(model, "input", None) if structure is None else structure
    if structure is not None:
        return keras.tree.map_structure(symbolic, structure)
    shape = (model.get_build_config() or {}).get("input_shape")
    if shape is None:
        raise ValueError(
            f"model '{model.name}' does not say what its inputs are. Call it once on data, or model.build(input_shape), "
            f"before to_keras()."
        )
    return keras.Input(batch_shape=(None, *shape[1:]))


def _copy(config: dict, name: str, weights: Weights, inputs: Any, model: keras.Model) -> Any:
    config = copy.deepcopy(config)
    config["config"]["name"] = name
    with architecture.untouched_random_state():
        member = keras.saving.deserialize_keras_object(config, safe_mode=False)
    architecture.check_weights(
        architecture.variables(member), architecture.variables(model), f"the copy '{name}'", model.name
    )
    architecture.adopt(member, weights)
    return member(inputs, training=False)


def _mean(outputs: list, task: Task) -> Any:
    if task.from_logits and task.kind != "regression":
        outputs = [keras.layers.Activation("softmax" if task.kind == "multiclass" else "sigmoid")(o) for o in outputs]
    return keras.layers.Average()(outputs) if len(outputs) > 1 else outputs[0]
