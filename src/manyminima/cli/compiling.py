"""The options that say what is trained, for the commands that train: data, model and optimizer."""

from typing import TYPE_CHECKING

import typer

from manyminima.datasets.sources import NAMES

if TYPE_CHECKING:
    from manyminima.datasets import Dataset

DATA = f"{', '.join(NAMES)}, or an .npz file with x_train, y_train (x_test, y_test), or x, y."
MODEL = "mlp, mlp:256,128, cnn, cnn1d, a .keras file, or path/file.py:function, called with (input_shape, classes)."
OPTIMIZER = "sgd (momentum 0.9), adam or adamw."
_OPTIMIZERS = {"sgd": ("SGD", {"momentum": 0.9}), "adam": ("Adam", {}), "adamw": ("AdamW", {})}


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
        metrics=[] if regression else ["accuracy"],
    )
