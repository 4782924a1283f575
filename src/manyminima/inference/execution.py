"""How members run: the only place that asks which backend is at work.

- "stacked": all members in one program, vectorised over a leading axis. Best for small dense networks.
- "mapped": one compiled program that goes through the members one after the other (JAX).
- "looped": one compiled forward pass, called once for each member with that member's weights.

The choice is a static rule, never a stopwatch: what a program computes must not depend on how busy the machine was. The
model's own variables are not written to; each member's weights stand in for them in a `StatelessScope`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np

from manyminima.inference.inputs import map_arrays

__all__ = ["Execution", "choose", "compile_members", "compile_pure", "compile_test", "compiles_each_shape"]

_SMALL = 100_000  # parameters; measured in benchmarks/predict.py

Execution = Literal["stacked", "mapped", "looped"]
Weights = Sequence[np.ndarray]

# What vmap is known to handle on torch and TensorFlow; anything else is looped there.
_DENSE_ONLY = (
    "Activation", "BatchNormalization", "Concatenate", "Dense", "Dropout", "ELU", "Flatten", "Functional", "GaussianDropout",
    "GaussianNoise", "InputLayer", "LayerNormalization", "LeakyReLU", "Normalization", "ReLU", "Rescaling", "Reshape",
    "Sequential", "Softmax",
)  # fmt: skip


def choose(model: keras.Model, wanted: str = "auto") -> Execution:
    """Return how the members of `model` run on this machine; any choice but "auto" is checked and returned."""
    backend = keras.backend.backend()
    if wanted != "auto":
        if wanted not in get_args(Execution) or (wanted == "mapped" and backend != "jax"):
            raise ValueError(
                f'execution="{wanted}" is not available on {backend}: choose "auto", "stacked", "looped"'
                + (' or "mapped".' if backend == "jax" else ' ("mapped" needs JAX).')
            )
        return wanted  # pyright: ignore[reportReturnType]
    names = [type(layer).__name__ for layer in model._flatten_layers()]
    if backend == "jax":
        # On a CPU, vmap turns convolutions into slow grouped ones, and the stacked activations of large layers leave the cache.
        large = any("Conv" in name for name in names) or model.count_params() > _SMALL
        return "mapped" if large and _on_cpu() else "stacked"
    return "stacked" if set(names) <= {*_DENSE_ONLY, type(model).__name__} and names else "looped"


def _on_cpu() -> bool:
    import jax

    return jax.default_backend() == "cpu"


def compiles_each_shape() -> bool:
    """Tell whether inputs of a new shape cost a compilation; elsewhere padding them would only be more work."""
    return keras.backend.backend() == "jax"


def compile_members(
    model: keras.Model, members: Sequence[Weights], how: Execution, compiled: dict[str, Callable]
) -> Callable[[Any], Any]:
    """Return a function from a batch of inputs to the outputs of every member.

    Each array of the outputs has the shape (members, examples, ...) and the dtype that the model computes it in. The
    function is compiled once for each shape of inputs, whatever the number of members where they are looped; `compiled`
    keeps what other members of the same model can share.
    """
    how = how if model.weights else "looped"  # there is no axis of members to go along
    if how not in compiled:
        compiled[how] = _for_backend(_forward(model), how)
    run = compiled[how]
    dtypes = [keras.backend.standardize_dtype(v.dtype) for v in model.weights]
    if how == "looped":
        tensors = [[_tensor(w, dtype) for w, dtype in zip(member, dtypes, strict=True)] for member in members]
    else:
        tensors = [_tensor(np.stack(arrays), dtype) for *arrays, dtype in zip(*members, dtypes, strict=True)]

    def outputs(x: Any) -> Any:
        x = map_arrays(_tensor, x)
        if how == "looped":
            single = [run(weights, x) for weights in tensors]  # all are under way before the first is waited for
            return keras.tree.map_structure(lambda *leaves: np.stack([_numpy(leaf) for leaf in leaves]), *single)
        return keras.tree.map_structure(_numpy, run(tensors, x))

    return outputs


def compile_pure(function: Callable) -> Callable:
    """Return a function of (nested) tensors, compiled as the backend does it, that takes arrays and gives NumPy arrays."""
    run = _for_backend(function, "looped")

    def on_arrays(*args):
        return keras.tree.map_structure(_numpy, run(*(map_arrays(_tensor, arg) for arg in args)))

    return on_arrays


def compile_test(model: keras.Model) -> Callable[[Weights, list, tuple], list]:
    """Return Keras's own test step as a function of (weights, values of the metrics' variables, batch) to new such values.

    Losses, metrics and a `test_step` of the user's own are what `model.evaluate` uses; the model is not written to.
    """

    def pure(weights, values, batch):
        mapping = [*zip(model.weights, weights, strict=True), *zip(model.metrics_variables, values, strict=True)]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            if keras.backend.backend() == "jax":
                held = (model.trainable_variables, model.non_trainable_variables, model.metrics_variables)
                return model.test_step([[v.value for v in part] for part in held], batch)[1][2]
            model.test_step(batch)
            return [scope.get_current_value(v) for v in model.metrics_variables]

    compiled = _for_backend(pure, "looped")
    dtypes = [keras.backend.standardize_dtype(v.dtype) for v in model.weights]

    def step(weights: Weights, values: list, batch: tuple) -> list:
        tensors = [_tensor(w, dtype) for w, dtype in zip(weights, dtypes, strict=True)]
        return compiled(tensors, values, map_arrays(_tensor, batch))

    return step


def _for_backend(function: Callable, how: Execution) -> Callable:
    return {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}[keras.backend.backend()](function, how)


def _forward(model: keras.Model) -> Callable:
    def forward(weights, x):
        with keras.StatelessScope(state_mapping=list(zip(model.weights, weights, strict=True))):
            return model(x, training=False)

    return forward


def _jax(forward: Callable, how: Execution) -> Callable:
    import jax

    if how == "stacked":
        return jax.jit(jax.vmap(forward, in_axes=(0, None)))
    if how == "mapped":
        return jax.jit(lambda weights, x: jax.lax.map(lambda member: forward(member, x), weights))
    return jax.jit(forward)


def _torch(forward: Callable, how: Execution) -> Callable:
    import torch

    run = torch.func.vmap(forward, in_dims=(0, None)) if how == "stacked" else forward

    def without_gradients(*args):
        with torch.no_grad():
            return run(*args)

    def vectorised(*args):
        try:
            return without_gradients(*args)
        except RuntimeError as error:
            raise RuntimeError(
                f'PyTorch cannot run this model with execution="stacked": {error}\nWrite execution="looped".'
            ) from error

    return vectorised if how == "stacked" else without_gradients


def _tensorflow(forward: Callable, how: Execution) -> Callable:
    import tensorflow as tf

    def vectorised(weights, x):
        return tf.vectorized_map(lambda member: forward(member, x), weights)

    # A second shape of inputs is compiled for any number of rows.
    return tf.function(vectorised if how == "stacked" else forward, reduce_retracing=True)


def _tensor(array: Any, dtype: str | None = None):
    return keras.ops.convert_to_tensor(array, dtype=dtype)


def _numpy(tensor) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))
