"""One model, built to be asked what it predicts before many are trained."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from manyminima.arrays import Task
from manyminima.comparison.rows import first_rows

__all__ = ["Probe", "probe"]

_ROWS = 8


class Probe(NamedTuple):
    """A model, its task, and how many classes or targets each of its predictions has."""

    model: Any
    task: Task
    outputs: int


def probe(build_model: Callable[[], Any], x: Any, y: np.ndarray) -> Probe:
    """Build one model, and predict some rows with it.

    Args:
        build_model: returns a compiled model.
        x: inputs of one batch.
        y: its labels.

    Raises:
        TypeError: it returns no model.
        ValueError: the model is not compiled, or what it predicts is nothing that a study can compare.
    """
    from manyminima.inference.ensemble import Ensemble
    from manyminima.training.engine.start import build, untouched_generators

    with untouched_generators():
        model = build(build_model, 0, (x, y))
        task = _task(model)
        probs = Ensemble(model, [model.get_weights()]).predict_members(first_rows(x, _ROWS))
    return Probe(model, task, probs.shape[-1])


def _task(model: Any) -> Task:
    """Return what the model predicts, with two classes where it is binary."""
    from manyminima.runs import tasks

    found = tasks.of_model(model)
    outputs = getattr(model, "output_names", None) or [""]
    if len(found) > 1 or len(outputs) > 1:
        raise ValueError(
            f"model '{model.name}' has the outputs {', '.join(found if len(found) > 1 else outputs)}: a study compares one. Let "
            f"build_model return a model with the output that matters, keras.Model(inputs, that_output)."
        )
    kind = next(iter(found.values()))
    if kind is None:
        raise ValueError(
            f"it cannot be told from the loss of model '{model.name}' what it predicts. Compile it with a loss of Keras, or give "
            f"your own function the name of the one it varies: def sparse_categorical_crossentropy_and_more(y, probs)."
        )
    if kind.kind == "multilabel":
        raise ValueError(
            f"model '{model.name}' predicts several labels at once (binary_crossentropy over {model.output_shape[-1]} units): a "
            f"study compares classes or regression. Compare one label at a time, with one unit."
        )
    return "regression" if kind.kind == "regression" else "multiclass"
