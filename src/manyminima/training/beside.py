"""What Keras's own callbacks remember from epoch to epoch, which they keep to themselves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

__all__ = ["put_back", "states"]

_KEPT = {
    keras.callbacks.EarlyStopping: ("best", "best_epoch", "best_weights", "stopped_epoch", "wait"),
    keras.callbacks.ModelCheckpoint: ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
    keras.callbacks.ReduceLROnPlateau: ("best", "cooldown_counter", "wait"),
}


def states(callbacks: Sequence) -> list[dict[str, Any]]:
    """Return what those of the callbacks remember that are known here, as plain data."""
    return [{name: getattr(one, name) for name in names} for one, names in _known(callbacks)]


def put_back(callbacks: Sequence, states: Sequence[Mapping[str, Any]]) -> None:
    """Give the callbacks what they remembered."""
    for (one, names), state in zip(_known(callbacks), states, strict=True):
        for name in names:
            setattr(one, name, state[name])


def names(callbacks: Sequence) -> list[str]:
    """Return the kinds of those callbacks that are known here."""
    return [type(one).__name__ for one, _ in _known(callbacks)]


def _known(callbacks: Sequence) -> Iterator[tuple[Any, tuple[str, ...]]]:
    for one in callbacks:
        for kind, attributes in _KEPT.items():
            if isinstance(one, kind):
                yield one, attributes
