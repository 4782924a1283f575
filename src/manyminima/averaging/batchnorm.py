"""Statistics of BatchNormalization that belong to given weights: what every average of weights needs before it is used."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from manyminima.inference import inputs
from manyminima.inference.execution import compile_pure
from manyminima.runs import architecture
from manyminima.runs.format import Weights

__all__ = ["layers_of", "refresh_batchnorm"]


def refresh_batchnorm(
    model: keras.Model, weights: Weights, x: Any, *, sample_weight: Any = None, batch_size: int = 256
) -> list[np.ndarray]:
    """Return the weights with the moving statistics of BatchNormalization computed anew, from one pass over the data.

    As in training, each batch is normalised by its own mean and (biased) variance; the moments of all batches are pooled
    exactly, each example counting by its weight, so that neither the order of the batches nor a smaller last one matters.
    All else is as in prediction: dropout is off and no random numbers are drawn. Layers that `fit` leaves alone, such as
    frozen ones, keep their statistics. The model is not touched.

    Args:
        model: the architecture.
        weights: in the order of `model.weights`, such as an average of several.
        x: training inputs as `predict` takes them, or a data set of them, whose labels are ignored. Augmented or clean, as
            you choose: what is passed is what is used.
        sample_weight: (examples,) non-negative; an example of weight 2 counts as two, one of weight 0 is not there.
        batch_size: of the batches, where x are arrays; that of training is a good choice.

    Raises:
        ValueError: the weights are not the model's, there are no data, or weights of examples that are none.

    Reference:
        Izmailov et al. 2018, Averaging Weights Leads to Wider Optima and Better Generalization, section 3.2.

    Example:
        weights = mm.refresh_batchnorm(model, next(iter(mean)), x_train)
    """
    expected = architecture.variables(model)
    architecture.check_weights([{"shape": np.shape(w)} for w in weights], expected, "the list of weights", model.name)
    result = [np.array(w) for w in weights]
    if not layers_of(model):
        return result
    batches = inputs.batches(x, batch_size, None, sample_weight)
    first = next(batches)
    calls = _calls(model, weights, first.x)
    if not any(trains for _, trains in calls):
        return result
    program = compile_pure(_moments(model, [trains for _, trains in calls]))
    pools = [(layer, _Pool()) for layer, trains in calls if trains]
    size = inputs.rows(first.x)
    for batch in itertools.chain([first], batches):
        found = program(list(weights), inputs.pad(batch.x, size), _counts(batch, size))
        for (_, pool), moments in zip(pools, found, strict=True):
            pool.add(*moments)
    _put(model, pools, result)
    return result


def layers_of(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return the model's layers of BatchNormalization, nested ones included."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def _calls(model: keras.Model, weights: Weights, x: Any) -> list[tuple[Any, bool]]:
    """Return every call of such a layer in one forward pass, and whether it uses the statistics of its batch in training."""
    found = []

    def note(layer, call, inputs, training, mask):
        found.append((layer, bool(training) and layer.trainable))
        return call(inputs, training=False, mask=mask)

    few = inputs.map_arrays(lambda a: keras.ops.convert_to_tensor(a[:2]), x)
    mapping = list(zip(model.weights, map(keras.ops.convert_to_tensor, weights), strict=True))
    with architecture.untouched_random_state(), keras.StatelessScope(mapping), _intercepted(model, note):
        model(few, training=True)
    return found


def _moments(model: keras.Model, trains: Sequence[bool]) -> Callable:
    """Return a function of weights, inputs and the examples' weights to (total, mean, variance) of each call that trains."""

    def moments(weights, x, counts):
        found, remaining = [], iter(trains)

        def own(layer, call, inputs, training, mask):
            if next(remaining):
                total, mean, variance = _weighted(layer, inputs, mask, counts)
                found.append((total, mean, variance))
                layer.moving_mean.assign(mean)  # within the scope alone: this batch is normalised by its own moments
                layer.moving_variance.assign(variance)
            return call(inputs, training=False, mask=mask)

        mapping = list(zip(model.weights, weights, strict=True))
        with keras.StatelessScope(mapping), _intercepted(model, own):
            model(x, training=False)
        return found

    return moments


def _weighted(layer: Any, inputs: Any, mask: Any, counts: Any) -> tuple[Any, Any, Any]:
    ops = keras.ops
    x = ops.cast(inputs, "float32")
    rank, channel = len(x.shape), layer.axis % len(x.shape)
    rows, examples = x.shape[0], counts.shape[0]
    if rows != examples and rows is not None and examples is not None:
        counts = ops.repeat(counts, rows // examples)  # examples that were taken apart before the layer
    share = ops.reshape(counts, (-1,) + (1,) * (rank - 1))
    if mask is not None:
        share = share * ops.cast(ops.expand_dims(mask, -1), "float32")
    share = share * ops.ones_like(x)
    axes = tuple(axis for axis in range(rank) if axis != channel)
    total = ops.sum(share, axis=axes)
    shape = [1] * rank
    shape[channel] = -1
    divisor = ops.maximum(total, 1e-30)
    mean = ops.sum(share * x, axis=axes) / divisor
    variance = ops.sum(share * ops.square(x - ops.reshape(mean, shape)), axis=axes) / divisor
    return total, mean, variance


def _counts(batch: inputs.Batch, size: int) -> np.ndarray:
    """Return how much each row counts: 0 for those that only fill up the last batch."""
    rows = inputs.rows(batch.x)
    given = np.ones(rows) if batch.sample_weight is None else np.asarray(batch.sample_weight, "float64")
    if given.shape != (rows,) or not np.isfinite(given).all() or given.min() < 0:
        raise ValueError(
            f"sample_weight of shape {given.shape}: expected one finite number of at least 0 for each example."
        )
    return np.concatenate([given, np.zeros(max(size - rows, 0))]).astype("float32")


class _Pool:
    """The moments of several batches as those of all their rows, in float64 (Chan, Golub & LeVeque 1979)."""

    def __init__(self):
        self.total, self.mean, self.squares = np.zeros(1), np.zeros(1), np.zeros(1)

    def add(self, total: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> None:
        total, mean, variance = (np.asarray(a, "float64") for a in (total, mean, variance))
        both = self.total + total
        share = np.divide(total, both, out=np.zeros_like(total), where=both > 0)
        away = mean - self.mean
        self.squares = self.squares + variance * total + away**2 * self.total * share
        self.mean = self.mean + away * share
        self.total = both

    @property
    def variance(self) -> np.ndarray:
        if np.any(self.total <= 0):
            raise ValueError("all examples have the weight 0: there is nothing to take statistics of.")
        return self.squares / self.total


def _put(model: keras.Model, pools: Sequence[tuple[Any, _Pool]], result: list[np.ndarray]) -> None:
    """Write the statistics of each layer in its place; those of a layer that is called several times are pooled."""
    merged: dict[int, tuple[Any, _Pool]] = {}
    for layer, pool in pools:
        merged.setdefault(id(layer), (layer, _Pool()))[1].add(pool.total, pool.mean, pool.variance)
    positions = {id(v): i for i, v in enumerate(model.weights)}
    for layer, pool in merged.values():
        for variable, value in ((layer.moving_mean, pool.mean), (layer.moving_variance, pool.variance)):
            i = positions[id(variable)]
            result[i] = value.astype(result[i].dtype)


@contextlib.contextmanager
def _intercepted(model: keras.Model, handle: Callable) -> Iterator[None]:
    """Have `handle(layer, call, inputs, training, mask)` do what layers of BatchNormalization do."""
    layers = layers_of(model)
    for layer in layers:
        layer.call = _handled(layer, layer.call, handle)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _handled(layer: Any, call: Callable, handle: Callable) -> Callable:
    def handled(inputs, training=None, mask=None):
        return handle(layer, call, inputs, training, mask)

    return handled
