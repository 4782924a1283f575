"""The options that say what is trained, for the commands that train: data, model and optimizer."""

from typing import TYPE_CHECKING

import typer

from manyminima.datasets.sources import NAMES as DATA_NAMES
from manyminima.zoo.papers import NAMES as PAPERS

if TYPE_CHECKING:
    from manyminima.datasets import Dataset

DATA = (
    f"{', '.join(DATA_NAMES)}, an .npz file with x_train, y_train (x_test, y_test) or x, y, a table: .csv, .parquet, or a "
    "folder or archive of images, with a folder for each class."
)
TARGET = "The column of a table that is to be predicted."
DROP = "A column of a table that is left out; can be given more than once."
TASK = "multiclass or regression. Default: multiclass, and for a table what its target holds."
MODEL = f"mlp, mlp:256,128, cnn, cnn1d, {PAPERS}, a .keras file, or path/file.py:function, called with (input_shape, classes)."
OPTIMIZER = "sgd (momentum 0.9), nesterov (sgd that looks ahead), adam or adamw."
MODELS = ("mlp", "cnn", "cnn1d", *PAPERS.split(", "))
_OPTIMIZERS = {
    "sgd": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
}
OPTIMIZERS = tuple(_OPTIMIZERS)


def check_optimizer(name: str) -> None:
    """Raise a usage error unless the name is one of the optimizers that can be chosen."""
    if name not in _OPTIMIZERS:
        raise typer.BadParameter(
            f"no optimizer {name!r}. Expected one of {', '.join(_OPTIMIZERS)}.", param_hint="--optimizer"
        )


def compile_for(network, dataset: "Dataset", optimizer: str, rate: float | None) -> None:
    """Compile a model for the task of a data set; without a rate the optimizer has Keras's own."""
    import keras

    name, options = _OPTIMIZERS[optimizer]
    options = options if rate is None else options | {"learning_rate": rate}
    regression = dataset.task == "regression"
    network.compile(
        optimizer=getattr(keras.optimizers, name)(**options),
        loss="mse" if regression else "sparse_categorical_crossentropy",
        loss_weights=_loss_weight(dataset),
        metrics=[] if regression else ["accuracy"],
    )


def _loss_weight(dataset: "Dataset") -> float | None:
    """Errors in a unit of the table's own make gradients of any size: their squares count in shares of its variance."""
    table = dataset.contract.get("table")
    return table["target"]["deviation"] ** -2 if table and dataset.task == "regression" else None
