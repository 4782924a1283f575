"""One ordinary Keras model out of many members."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from manyminima.runs import architecture
from manyminima.runs.format import Weights
from manyminima.runs.tasks import Task

__all__ = ["averaged"]


def averaged(model: keras.Model, members: Sequence[Weights], tasks: Mapping[str, Task]) -> keras.Model:
    """Return a functional model whose output is the mean of the members' probabilities, of the same shape as `model`'s.

    Every member is a copy of `model`, named `member_000`, `member_001`, … It contains no class of this package, so the saved
    file loads with Keras alone. `training=False` is pinned: layers of the `Random…` kind would otherwise be active.
    """
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    inputs = _inputs(model)
    outputs = [_copy(config, f"member_{k:03d}", weights, inputs, model) for k, weights in enumerate(members)]
    if isinstance(outputs[0], Mapping):
        mean = {key: _mean([o[key] for o in outputs], tasks, key) for key in outputs[0]}
    elif isinstance(outputs[0], list | tuple):
        names = list(model.output_names)
        mean = [
            _mean(list(column), tasks, name) for name, column in zip(names, zip(*outputs, strict=True), strict=True)
        ]
    else:
        mean = _mean(outputs, tasks, "")
    ensemble = keras.Model(inputs, mean, name=f"{model.name}_ensemble")
    ensemble.trainable = False
    return ensemble


def _inputs(model: keras.Model) -> Any:
    def symbolic(tensor):
        name = tensor.name if hasattr(model, "input_names") else None
        return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)

    if getattr(model, "_inputs_struct", None) is not None or hasattr(model, "input"):
        return keras.tree.map_structure(symbolic, getattr(model, "_inputs_struct", None) or model.input)
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


def _mean(outputs: list, tasks: Mapping[str, Task], name: str) -> Any:
    task = tasks.get(name) or tasks[""]
    if task.from_logits and task.kind != "regression":
        outputs = [keras.layers.Activation("softmax" if task.kind == "multiclass" else "sigmoid")(o) for o in outputs]
    return keras.layers.Average()(outputs) if len(outputs) > 1 else outputs[0]
