"""What makes a study the same study: its rows, its model, its budget. Parts of another one are never taken for its own."""

import hashlib
import json
import re
from typing import Any

from manyminima.comparison.rows import PARTS, digest
from manyminima.datasets import Dataset

__all__ = ["about_data", "about_model", "model_digest"]

_NUMBERED = re.compile(r"_\d+\b")


def about_data(data: Dataset) -> dict[str, Any]:
    """Return what is said of the rows, with a hash of all of them."""
    said = {key: data.contract.get(key) for key in ("source", "classes", "seed")}
    return {**said, "rows": {part: len(getattr(data, f"y_{part}")) for part in PARTS}, "sha256": digest(data)}


def about_model(model: Any) -> dict[str, Any]:
    """Return what is said of a compiled model, with a hash of what it is made of."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return {
        "name": model.name,
        "parameters": model.count_params(),
        "optimizer": type(optimizer).__name__,
        "sha256": model_digest(model),
    }


def model_digest(model: Any) -> str:
    """Return a SHA-256 over layers, shapes, optimizer and loss; without names that Keras numbers, and without the rate."""
    shapes = [(list(variable.shape), str(variable.dtype)) for variable in model.variables]
    optimizer = {
        key: value for key, value in model.optimizer.get_config().items() if key not in ("learning_rate", "name")
    }
    made_of = [_config(model), shapes, type(model.optimizer).__name__, optimizer, _loss(model)]
    text = json.dumps(made_of, sort_keys=True, default=lambda value: type(value).__name__)
    return hashlib.sha256(_NUMBERED.sub("", text).encode()).hexdigest()


def _config(model: Any) -> Any:
    """Return the layers and their options; of a model that does not say, its class and its layers' own."""
    import keras
    from keras.src.models.functional import Functional

    if not isinstance(model, keras.Sequential | Functional):
        return [type(model).__qualname__, *(_config_of(layer) for layer in model.layers)]
    return _config_of(model)


def _config_of(layer: Any) -> Any:
    from manyminima.runs.tensorflow import tensorflow_not_imported

    try:
        with tensorflow_not_imported():
            return [type(layer).__name__, layer.get_config()]
    except (NotImplementedError, TypeError, ValueError):
        return type(layer).__name__


def _loss(model: Any) -> Any:
    import keras

    return keras.tree.map_structure(
        lambda loss: (
            loss if isinstance(loss, str) or loss is None else getattr(loss, "__name__", None) or _config_of(loss)
        ),
        model.loss,
    )
