"""How a network is trained apart from recipe and rate: as its paper did, unless options say otherwise."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from manyminima.cli.compiling import check_optimizer, compile_for

if TYPE_CHECKING:
    import keras
    import numpy as np

    from manyminima.datasets import Batches, Dataset

AUGMENT = (
    "Changes of training images, other ones in each epoch: none, flip, crop-flip (4 pixels of the mean colour around) or "
    "reflect-crop-flip (4 reflected pixels). Default: what the network's paper did; none for other networks."
)
BATCH_SIZE = "Rows in a training step. Default: what the network's paper has, 128 for wrn and 64 for densenet; else 32."
CUTOUT = "Side of a square that is painted over in each training image, in pixels; 0 for none. On top of --augment."
DECAY = (
    "Added to each weight's gradient as a share of the weight, before momentum: what papers call weight decay, or L2. Part of "
    "loss and val_loss. Default: what the network's paper has, 5e-4 for wrn and 1e-4 for densenet; else 0."
)
LIMIT = "Train on at most so many rows, and validate on as large a share of the others. The test rows stay."
PRECISION = "What a zoo network computes in: float32, mixed_bfloat16 or mixed_float16. Weights are float32 in any case."
SMOOTHING = "Share of each training label that is spread over all classes."

_PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Regime:
    """What training does besides following a recipe.

    Args:
        batch_size: rows in a step.
        optimizer: one that `--optimizer` takes.
        weight_decay: share of each weight that is added to its gradient.
        augment: one of `datasets.augmentation.CHOICES`.
        cutout: side of the painted squares, in pixels.
        label_smoothing: share of the labels that is spread.
    """

    batch_size: int
    optimizer: str
    weight_decay: float
    augment: str
    cutout: int = 0
    label_smoothing: float = 0.0

    def __str__(self) -> str:
        parts = [f"batch {self.batch_size}", self.optimizer]
        parts += [f"weight decay {self.weight_decay:g}"] if self.weight_decay else []
        parts += [f"augmented by {self.augment}"] if self.augment != "none" else []
        parts += [f"cutout {self.cutout}"] if self.cutout else []
        parts += [f"labels smoothed by {self.label_smoothing:g}"] if self.label_smoothing else []
        return ", ".join(parts)

    @property
    def record(self) -> dict[str, Any]:
        """What a run keeps of it, JSON-able."""
        return asdict(self)


def regime_for(model: str, **given: Any) -> Regime:
    """Return how a model is trained: as in its paper, where it has one, and for the rest as told; None is not told.

    Raises:
        typer.BadParameter: an option has a value that there is not.
        ValueError: the model's name is of a paper's kind, but there is no such network.
    """
    import typer

    from manyminima.datasets.augmentation import CHOICES
    from manyminima.zoo.papers import Training, paper_of

    paper = paper_of(model)
    usual = asdict(paper.training if paper else Training())
    told = {name: value for name, value in given.items() if value is not None}
    regime = Regime(**(usual | told))
    check_optimizer(regime.optimizer)
    if regime.augment not in CHOICES:
        raise typer.BadParameter(
            f"no augmentation {regime.augment!r}. Expected one of {', '.join(CHOICES)}.", param_hint="--augment"
        )
    return regime


def check_precision(name: str) -> None:
    """Raise a usage error unless there is such a precision."""
    import typer

    if name not in _PRECISIONS:
        raise typer.BadParameter(
            f"no precision {name!r}. Expected one of {', '.join(_PRECISIONS)}.", param_hint="--precision"
        )


def build_in(precision: str, model: str, dataset: "Dataset") -> "keras.Model":
    """Build a network that computes in a precision; Keras's own setting is left as it was."""
    import keras

    from manyminima import zoo

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return zoo.build(model, dataset)
    finally:
        keras.config.set_dtype_policy(before)


def compile_in(network: "keras.Model", dataset: "Dataset", regime: Regime, rate: float | None) -> None:
    """Compile a network; where the loss is more than the cross-entropy, that is a metric beside it."""
    import keras

    from manyminima import zoo

    if regime.weight_decay:
        zoo.add_weight_decay(network, regime.weight_decay)
    compile_for(network, dataset, regime.optimizer, rate)
    if dataset.task == "regression" or not (regime.weight_decay or regime.label_smoothing):
        return
    sparse = not regime.label_smoothing
    metric = keras.metrics.SparseCategoricalCrossentropy if sparse else keras.metrics.CategoricalCrossentropy
    network.compile(
        optimizer=network.optimizer,
        loss="sparse_categorical_crossentropy" if sparse else "categorical_crossentropy",
        metrics=["accuracy", metric(name="crossentropy")],
    )


def batches_in(dataset: "Dataset", regime: Regime, seed: int) -> "Batches":
    """Return the training batches, augmented.

    Raises:
        ValueError: the inputs are no images, but images are to be changed; or labels that are no classes are to be smoothed.
    """
    from manyminima.datasets import Batches, augmentation

    x, y = dataset.x_train, dataset.y_train
    changes = augmentation.named(regime.augment, x)
    if regime.cutout:
        changes = (*changes, partial(augmentation.cutout, size=regime.cutout, fill=augmentation.mean_colour(x)))
    labels = _labels(y, dataset, regime, regime.label_smoothing)
    return Batches(x, labels, regime.batch_size, seed=seed).through(*changes)


def validation_in(dataset: "Dataset", regime: Regime) -> tuple["np.ndarray", "np.ndarray"]:
    """Return the validation rows, whose labels are never smoothed."""
    return dataset.x_val, _labels(dataset.y_val, dataset, regime, 0.0)


def _labels(y: "np.ndarray", dataset: "Dataset", regime: Regime, share: float) -> "np.ndarray":
    import numpy as np

    if not regime.label_smoothing:
        return y
    if dataset.task == "regression":
        raise ValueError(
            "only labels that are classes can be smoothed, and the task is regression: leave out --label-smoothing."
        )
    one_hot = np.eye(dataset.outputs, dtype=np.float32)
    return ((1 - share) * one_hot + share / dataset.outputs)[y]
