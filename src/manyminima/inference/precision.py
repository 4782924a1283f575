"""The same model, computing in another precision."""

import keras

from manyminima.inference.export import copy_of

__all__ = ["in_precision"]

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def in_precision(model: keras.Model, dtype: str) -> keras.Model:
    """Return a copy of `model`, with weights yet to be set, whose layers compute in `dtype`; variables stay as they are.

    What comes out of the model is computed in float32, because a softmax in half precision misses a sum of 1 by up to 1 %;
    so are layers that prepare raw data, whose numbers may be large.

    Raises:
        ValueError: another dtype, or a model that cannot be copied.
    """
    if dtype not in _POLICIES:
        raise ValueError(f'dtype="{dtype}" is none to predict in: choose "float32", "bfloat16", "float16".')
    twin = copy_of(model, model.name)
    exact = {id(tensor._keras_history.operation) for tensor in keras.tree.flatten(getattr(twin, "outputs", None) or [])}
    for layer in twin._flatten_layers(include_self=False):
        prepares = type(layer).__module__.startswith("keras.src.layers.preprocessing")
        if isinstance(layer, keras.Model) or getattr(layer, "quantization_mode", None):
            continue  # a model computes in its layers, and integers have a precision of their own
        layer.dtype_policy = "float32" if prepares or id(layer) in exact else _POLICIES[dtype]
    return twin
