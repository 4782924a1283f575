"""How members run: the only place that asks which backend is at work.

- "stacked": all members in one program, vectorised over a leading axis. For small dense networks, and on accelerators: there
  for all networks on JAX, elsewhere for dense ones. On a processor it makes slow grouped convolutions.
- "mapped": one compiled program that goes through the members one after the other. On JAX and TensorFlow for processors.
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
    "batches_at_once",
    "choose",
    "compile_pure",
    "compile_test",
    "compiled",
    "compiles_each_shape",
    "forward_of",
    "on_cpu",
    "over_members",
    "weighted_sum",
]

# Parameters of dense networks that are stacked on a processor. On two cores, 10 and 30 members, 1,000 and 10,000 rows: on JAX
# stacked took 0.6 to 1.02 of mapped's time up to 6,000 parameters, 0.9 to 1.2 at 20,000, 1.07 to 1.25 at 74,000; on TensorFlow
# 0.7 to 1.2 up to 20,000, 0.85 to 1.3 at 74,000. What several members of a large one compute at once leaves the cache.
_SMALL = {"jax": 10_000, "tensorflow": 100_000, "torch": 100_000}

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
        if wanted not in get_args(Execution) or (wanted == "mapped" and backend == "torch"):
            raise ValueError(
                f'execution="{wanted}" is not available on {backend}: choose "auto", "stacked", "looped"'
                + (' ("mapped" needs JAX or TensorFlow).' if backend == "torch" else ' or "mapped".')
            )
        return wanted  # pyright: ignore[reportReturnType]
    if backend == "jax" and not on_cpu():
        return "stacked"
    names = {type(layer).__name__ for layer in model._flatten_layers()}
    dense = names <= {*_DENSE_ONLY, type(model).__name__}
    if dense and (model.count_params() <= _SMALL[backend] or not on_cpu()):
        return "stacked"
    return "looped" if backend == "torch" or not on_cpu() else "mapped"


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


def batches_at_once() -> int:
    """Return how many batches that fit a processor's cache go as one: more where starting a program takes longer."""
    return {"jax": 1, "torch": 2}.get(keras.backend.backend(), 4) if on_cpu() else 4


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

        if how == "stacked":
            return lambda weights, x: tf.vectorized_map(lambda member: function(member, x), weights)
        return _tensorflow_mapped(function)
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


def _tensorflow_mapped(function: Callable) -> Callable:
    import tensorflow as tf

    def mapped(weights, x):
        one = tf.function(lambda member: function(member, x))
        outputs = one.get_concrete_function([w[0] for w in weights]).structured_outputs
        dtypes = tf.nest.map_structure(lambda output: output.dtype, outputs)
        return tf.map_fn(one, weights, parallel_iterations=1, fn_output_signature=dtypes)

    return mapped


def added_up(function: Callable) -> Callable:
    """Return a function of all members' weights, coefficients and inputs: the sum, taken member by member in one program.

    Args:
        function: of one member's weights and inputs. It is traced once, and what single members give is not kept.
    """
    return _jax_added_up(function) if keras.backend.backend() == "jax" else _tensorflow_added_up(function)


def _jax_added_up(function: Callable) -> Callable:
    import jax

    function = jax.jit(function)  # traced once for the two uses of it

    def total(weights, coefficients, x):
        def step(done, member):
            return jax.tree.map(lambda d, part: d + member[1] * part, done, function(member[0], x)), None

        shapes = jax.eval_shape(function, [w[0] for w in weights], x)
        begin = jax.tree.map(lambda s: jax.numpy.zeros(s.shape, s.dtype), shapes)
        return jax.lax.scan(step, begin, (weights, coefficients))[0]

    return total


def _tensorflow_added_up(function: Callable) -> Callable:
    import tensorflow as tf

    function = tf.function(function)  # likewise

    def total(weights, coefficients, x):
        def part(k):
            parts = function([w[k] for w in weights], x)
            return tf.nest.map_structure(lambda one: coefficients[k] * one, parts)

        def step(k, done):
            return k + 1, tf.nest.map_structure(tf.add, done, part(k))

        # One at a time: what several members compute at once leaves the cache.
        members = tf.shape(coefficients)[0]
        return tf.while_loop(lambda k, _: k < members, step, (1, part(0)), parallel_iterations=1)[1]

    return total


def weighted_sum(coefficients: Any, parts: Any) -> Any:
    """Return the sum over the first axis, (members, ...): a product, but where an accelerator would round it to 10 bits."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.numpy.tensordot(coefficients, parts, 1, precision="highest")
    if backend == "torch" or on_cpu():
        return keras.ops.tensordot(coefficients, parts, 1)
    return keras.ops.sum(parts * keras.ops.reshape(coefficients, (-1, *[1] * (len(parts.shape) - 1))), axis=0)


def as_tensor(array: Any, dtype: str | None = None) -> Any:
    """Return an array as a tensor on the device."""
    return keras.ops.convert_to_tensor(array, dtype=dtype)


def as_argument(array: np.ndarray) -> Any:
    """Return what a compiled function takes for an array, the fastest way: on JAX itself, because a tensor first takes longer."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.convert_to_tensor(array)
    return array if backend == "jax" else as_tensor(array)


def as_numpy(tensor: Any) -> np.ndarray:
    """Wait for a tensor, and return an array of its own."""
    return np.array(tensor) if keras.backend.backend() == "jax" else np.asarray(keras.ops.convert_to_numpy(tensor))
