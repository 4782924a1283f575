"""What a model makes of a table's columns: numbers of one size, a mark where one was missing, a place for each category.

All of it is plain Keras operations with constants in the model's config, so a saved model needs nothing but Keras, and no
averaging of members can touch it. Text itself cannot enter a compiled program on JAX or PyTorch: which word has which code
is with the run's data, not in the model.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers, ops

from manyminima.datasets.columns import NUMBERS, Column

if TYPE_CHECKING:
    from manyminima.datasets import Dataset

__all__ = ["features", "on_columns"]


def features(inputs: Any, columns: Sequence[Column]) -> Any:
    """Return a table's columns as features, (rows, features) float32, none of them missing.

    A number loses its column's median and is divided by its standard deviation, and a missing one becomes 0, the median;
    columns that lack some in the training rows get a feature that is 1 where they do. A category is one-hot; a word that the
    vocabulary does not have, or that was rare, is 0 in all places.

    Args:
        inputs: (rows, columns), as `mm.datasets.load` encodes them.
        columns: those that are used, in this order.
    """
    places = list(enumerate(columns))
    numbers = [(j, column) for j, column in places if column.kind in NUMBERS]
    incomplete = [j for j, column in numbers if column.missing]
    slots = [(j, code) for j, column in places for code in range(1, 1 + len(column.categories))]
    parts = []
    if numbers:
        parts.append(_scaled(_taken(inputs, [j for j, _ in numbers]), [column for _, column in numbers]))
    if incomplete:
        parts.append(ops.cast(ops.isnan(_taken(inputs, incomplete)), "float32"))
    if slots:
        codes = [float(code) for _, code in slots]
        parts.append(ops.cast(ops.equal(_taken(inputs, [j for j, _ in slots]), codes), "float32"))
    return layers.Concatenate(dtype="float32")(parts) if len(parts) > 1 else parts[0]


def on_columns(dataset: "Dataset", make: Callable[[int], keras.Model]) -> keras.Model:
    """Return a model of a table's encoded rows, out of one of their features.

    Args:
        dataset: a table, as `mm.datasets.load` returns it.
        make: takes the number of features and returns a model of them. For a regression it predicts the target less its mean,
            divided by its standard deviation; the returned model predicts in the target's own unit.
    """
    table = dataset.contract["table"]
    columns = [column for column in map(Column.from_json, table["columns"]) if column.used]
    inputs = keras.Input((len(columns),), dtype="float32", name="columns")
    found = features(inputs, columns)
    network = make(int(found.shape[-1]))
    outputs = network(found)
    if dataset.task == "regression":
        unit = layers.Rescaling(table["target"]["deviation"], table["target"]["mean"], dtype="float32", name="unit")
        outputs = unit(outputs)
    return keras.Model(inputs, outputs, name=network.name)


def _taken(inputs: Any, places: Sequence[int]) -> Any:
    return inputs if list(places) == list(range(inputs.shape[-1])) else ops.take(inputs, list(places), axis=-1)


def _scaled(numbers: Any, columns: Sequence[Column]) -> Any:
    mean, variance = [column.center for column in columns], [column.variance for column in columns]
    scaled = layers.Normalization(axis=-1, mean=mean, variance=variance, dtype="float32")(numbers)
    return ops.nan_to_num(scaled)
