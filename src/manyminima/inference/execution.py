"""How members run: the only place that asks which backend is at work.

- "stacked": all members in one program, vectorised over a leading axis. On JAX for accelerators; elsewhere for dense networks
  that are small, or on an accelerator.
- "mapped": one compiled program that goes through the members one after the other. On JAX for processors.
- "looped": one compiled forward pass, called once for each member with that member's weights.

The choice is a static rule, never a stopwatch: what a program computes must not depend on how busy the machine was. The
model's own variables are not written to; each member's weights stand in for them in a `StatelessScope`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np

from manyminima.inference.inputs import map_arrays

__all__ = [
    "Execution",
    "added_up",
    "as_argument",
    "as_numpy",
    "as_tensor",
    "calls_are_cheap",
    "choose",
    "compile_pure",
    "compile_test",
    "compiled",
    "compiles_each_shape",
    "forward_of",
    "on_cpu",
    "over_members",
]

_SMALL = 100_000  # parameters, on torch and TensorFlow; measured in benchmarks/predict.py

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
        # On a CPU, vmap turns convolutions into slow grouped ones, and what several members compute at once leaves the cache.
        return "mapped" if on_cpu() else "stacked"
    dense = set(names) <= {*_DENSE_ONLY, type(model).__name__} and names
    return "stacked" if dense and (model.count_params() <= _SMALL or not on_cpu()) else "looped"


def on_cpu() -> bool:
    """Tell whether the backend computes on the processor, and not on an accelerator."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.default_backend() == "cpu"
    if backend == "torch":
        from keras.src.backend.torch.core import get_device

        return get_device() == "cpu"
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def compiles_each_shape() -> bool:
    """Tell whether inputs of a new shape cost a compilation; elsewhere padding them would only be more work."""
    return keras.backend.backend() == "jax"


def calls_are_cheap() -> bool:
    """Tell whether batches may be as small as suits a processor's cache; elsewhere starting a program takes longer than that."""
    return keras.backend.backend() == "jax" and on_cpu()


def compile_pure(function: Callable) -> Callable:
    """Return a function of (nested) tensors, compiled as the backend does it, that takes arrays and gives NumPy arrays."""
    run = compiled(function)

    def on_arrays(*args):
        return keras.tree.map_structure(as_numpy, run(*(map_arrays(as_tensor, arg) for arg in args)))

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

    run = compiled(pure)
    dtypes = [keras.backend.standardize_dtype(v.dtype) for v in model.weights]

    def step(weights: Weights, values: list, batch: tuple) -> list:
        tensors = [as_tensor(w, dtype) for w, dtype in zip(weights, dtypes, strict=True)]
        return run(tensors, values, map_arrays(as_tensor, batch))

    return step


def forward_of(model: keras.Model) -> Callable:
    """Return the model in inference as a function of weights, in the order of `model.weights`, and inputs."""

    def forward(weights, x):
        with keras.StatelessScope(state_mapping=list(zip(model.weights, weights, strict=True))):
            return model(x, training=False)

    return forward


def compiled(function: Callable) -> Callable:
    """Return a function of (nested) tensors, compiled as the backend does it; no gradients come out of it."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)  # a second shape is compiled for any number of rows
    import torch

    return torch.no_grad()(function)


def over_members(function: Callable, how: Execution) -> Callable:
    """Return a function of one member's weights and inputs as one of the weights of all, along a leading axis."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        if how == "stacked":
            return jax.vmap(function, in_axes=(0, None))
        return lambda weights, x: jax.lax.map(lambda member: function(member, x), weights)
    if backend == "tensorflow":
        import tensorflow as tf

        return lambda weights, x: tf.vectorized_map(lambda member: function(member, x), weights)
    return _torch_vectorised(function)


def _torch_vectorised(function: Callable) -> Callable:
    import torch

    run = torch.func.vmap(function, in_dims=(0, None))

    def vectorised(weights, x):
        try:
            return run(weights, x)
        except RuntimeError as error:
            raise RuntimeError(
                f'PyTorch cannot run this model with execution="stacked": {error}\nWrite execution="looped".'
            ) from error

    return vectorised


def added_up(function: Callable, add: Callable) -> Callable:
    """Return a function of all members' weights, coefficients and inputs that goes through the members inside a program (JAX).

    Args:
        function: of one member's weights and inputs.
        add: from a sum, one member's result and its coefficient to the new sum; sums begin at 0, and at True.
    """
    import jax

    function = jax.jit(function)  # traced once for the two uses of it

    def total(weights, coefficients, x):
        def step(done, member):
            return add(done, function(member[0], x), member[1]), None

        shapes = jax.eval_shape(function, [w[0] for w in weights], x)
        begin = jax.tree.map(lambda s: jax.numpy.full(s.shape, s.dtype == bool, s.dtype), shapes)
        return jax.lax.scan(step, begin, (weights, coefficients))[0]

    return total


def as_tensor(array: Any, dtype: str | None = None) -> Any:
    """Return an array as a tensor on the device."""
    return keras.ops.convert_to_tensor(array, dtype=dtype)


def as_argument(array: np.ndarray) -> Any:
    """Return what a compiled function takes for an array: on JAX itself, because a tensor first takes longer."""
    return array if keras.backend.backend() == "jax" else as_tensor(array)


def as_numpy(tensor: Any) -> np.ndarray:
    """Wait for a tensor, and return it as an array."""
    return np.asarray(keras.ops.convert_to_numpy(tensor))
