"""From what someone types after `--model` to a model that fits a data set, or an error that says why it does not."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import keras
import numpy as np

from manyminima.zoo import networks, tables
from manyminima.zoo.dense import densenet
from manyminima.zoo.papers import NAMES, Paper, paper_of
from manyminima.zoo.residual import wide_resnet

if TYPE_CHECKING:
    from manyminima.datasets import Dataset

_CHOICES = (
    f"Expected mlp, mlp:WIDTH,WIDTH,... (such as mlp:256,128), cnn, cnn1d, {NAMES}, the path of a .keras file, or "
    "path/file.py:function"
)


def build(spec: str, dataset: "Dataset") -> keras.Model:
    """Build or load a model for a data set, and try it on two of its rows.

    A file's function is called with the shape of one input and the number of classes, `(input_shape, classes)`; naming a
    file runs its code. Where the data are a table, its input is what `zoo.tables.features` makes of the columns, and so is
    that of the networks here. A `.keras` file is loaded as it is, without its optimizer, and never runs code.

    Args:
        spec: "mlp", "mlp:256,128", "cnn", "cnn1d", a `.keras` file, "path/file.py:function", or a network of a paper, of any
            depth and width that it has: "wrn-16-4", "wrn-28-10:dropout=0.3", "densenet-40-12", "densenet-bc-100-12".
        dataset: what `manyminima.datasets.load` returned.

    Returns:
        An uncompiled model; its outputs are probabilities of the classes, or targets of a regression.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the words mean nothing, or the model does not fit the data.
        TypeError: the function does not return a Keras model.
    """
    model = build_again(spec, dataset)
    _check_outputs(spec, model, dataset)
    return model


def build_again(spec: str, dataset: "Dataset") -> keras.Model:
    """Build what `build` has built before, without trying it: where many are trained, that takes most of their time."""
    of_columns = "table" in dataset.contract and not spec.endswith(".keras")
    return _on_columns(spec, dataset) if of_columns else _model(spec, dataset)


def _model(spec: str, dataset: "Dataset") -> keras.Model:
    file, _, function = spec.rpartition(":")
    if file.endswith(".py"):
        return _from_function(Path(file), function, dataset)
    if spec.endswith(".py"):
        raise ValueError(f"{spec!r} names a file but no function in it. Write {spec}:function.")
    if spec.endswith(".keras"):
        return _from_file(Path(spec))
    if paper := paper_of(spec):
        return _of_paper(spec, paper, dataset)
    word, _, widths = spec.partition(":")
    if word not in networks.__all__ or (widths and word != "mlp"):
        raise ValueError(f"no model {spec!r}. {_CHOICES}.")
    extra = {"widths": _widths(spec, widths)} if widths else {}
    make = getattr(networks, word)
    return make(dataset.input_shape, dataset.outputs, task=dataset.task, adapt_to=_adapt_to(dataset), **extra)


def _on_columns(spec: str, dataset: "Dataset") -> keras.Model:
    return tables.on_columns(
        dataset, lambda features: _model(spec, replace(dataset, x_train=np.empty((0, features), np.float32)))
    )


def _of_paper(spec: str, paper: Paper, dataset: "Dataset") -> keras.Model:
    if dataset.task != "multiclass":
        raise ValueError(
            f"{spec} tells classes apart, but the task is {dataset.task}. Use cnn, or path/file.py:function."
        )
    make = {"wide_resnet": wide_resnet, "densenet": densenet}[paper.function]
    return make(**paper.options, classes=dataset.outputs, adapt_to=dataset.x_train)


def _adapt_to(dataset: "Dataset") -> np.ndarray | None:
    return dataset.x_train if len(dataset.x_train) else None


def _widths(spec: str, widths: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in widths.split(","))
    except ValueError:
        raise ValueError(f"{spec!r} has widths that are no whole numbers. Write them like mlp:256,128.") from None


def _from_file(path: Path) -> keras.Model:
    if not path.is_file():
        raise FileNotFoundError(f"no file '{path}'. Save a model there with model.save('{path}'), or check the path.")
    model = keras.saving.load_model(path, compile=False)
    if not isinstance(model, keras.Model):
        raise TypeError(f"'{path}' holds a {type(model).__name__}. Expected a keras.Model: save the whole model.")
    return model


def _from_function(path: Path, name: str, dataset: "Dataset") -> keras.Model:
    function = getattr(_run_file(path), name, None)
    if not callable(function):
        raise ValueError(
            f"'{path}' has no function {name!r}. Expected def {name}(input_shape, classes): ... that returns a keras.Model."
        )
    model = function(dataset.input_shape, dataset.outputs)
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"{name}{(dataset.input_shape, dataset.outputs)} of '{path}' returned {type(model).__name__}. Expected a "
            f"keras.Model: end the function in return keras.Model(inputs, outputs)."
        )
    return model


def _run_file(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(path.stem, path)
    if found is None or found.loader is None or not path.is_file():
        raise FileNotFoundError(f"no file '{path}'. Expected a Python file with a function that builds the model.")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _check_outputs(spec: str, model: keras.Model, dataset: "Dataset") -> None:
    rows = dataset.x_train[:2]
    try:
        outputs = model.predict_on_batch(rows)  # one program; on JAX a plain call compiles each operation
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"model {spec!r} cannot be called on inputs of shape {dataset.input_shape}: {str(error).splitlines()[0]} "
            f"Build it for that shape."
        ) from error
    expected = (len(rows), dataset.outputs)
    activation = "" if dataset.task == "regression" else ', activation="softmax"'
    if not hasattr(outputs, "shape") or tuple(outputs.shape) != expected:
        shape = tuple(outputs.shape) if hasattr(outputs, "shape") else type(outputs).__name__
        raise ValueError(
            f"model {spec!r} returns {shape} for {len(rows)} rows, but the data need {expected}. End it in "
            f"keras.layers.Dense({dataset.outputs}{activation})."
        )
    sums = np.asarray(outputs, np.float64).sum(axis=-1)
    if dataset.task != "regression" and not np.allclose(sums, 1, atol=1e-2):
        raise ValueError(
            f"model {spec!r} returns rows that sum to {sums[0]:.4g}. Expected probabilities, which sum to 1: give its last "
            f'layer activation="softmax".'
        )
