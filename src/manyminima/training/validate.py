"""The validation logs of weights other than the model's own, while the model goes on training."""

from collections.abc import Mapping
from typing import Any

import keras

from manyminima.inference import inputs
from manyminima.inference.execution import compile_test
from manyminima.runs.format import Weights
from manyminima.training.telling import single_numbers

__all__ = ["Validator"]

PREFIX = "val_avg_"


class Validator:
    """Keras's own test step, with other weights in place of the model's; nothing of the model is written to.

    Args:
        model: compiled.
        data: (x, y) or (x, y, sample_weight), as `validation_data` of `fit`; or a data set that yields such batches, which
            is gone through at each call.
        batch_size: where `data` are arrays.
    """

    def __init__(self, model: keras.Model, data: Any, batch_size: int = 256):
        self._model, self._data, self._batch_size = model, data, batch_size
        self._step = compile_test(model)

    def __call__(self, weights: Weights) -> dict[str, float]:
        """Return loss and metrics under the names that logs give to those of an average."""
        values = self._initial()
        for batch in self._batches():
            values = self._step(weights, values, tuple(part for part in batch if part is not None))
        with keras.StatelessScope(state_mapping=list(zip(self._model.metrics_variables, values, strict=True))):
            logs = self._model.get_metrics_result()
        return {PREFIX + name: value for name, value in single_numbers(logs).items()}

    def _initial(self) -> list:
        with keras.StatelessScope() as scope:
            for metric in self._model.metrics:
                metric.reset_state()
        return [scope.get_current_value(v) for v in self._model.metrics_variables]

    def _batches(self):
        if inputs.is_dataset(self._data):
            return inputs.batches(self._data, self._batch_size)
        return inputs.batches(self._data[0], self._batch_size, *self._data[1:])


def check(data: Any) -> None:
    """Raise ValueError unless `data` is what `validation_data` of `fit` may be."""
    if inputs.is_dataset(data):
        return
    if isinstance(data, Mapping) or not isinstance(data, list | tuple) or len(data) not in (2, 3):
        raise ValueError(
            f"validation_data is a {type(data).__name__}: expected (x, y), or a data set that yields them."
        )
