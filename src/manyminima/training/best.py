"""Which of two epochs is better, by one of Keras's logs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from manyminima.training.validate import PREFIX

__all__ = ["Best", "kept_by", "watching"]

_HIGHER = (
    "accuracy",
    "acc",
    "auc",
    "precision",
    "recall",
    "f1_score",
    "fbeta_score",
    "iou",
    "io_u",
    "r2_score",
    "similarity",
)
_LOWER = ("loss", "error", "crossentropy", "mse", "mae", "rmse", "divergence")


class Best:
    """The best value of one log so far.

    Args:
        monitor: the log's name, such as "val_loss"; "min:name" or "max:name" where the name does not tell the direction.
        validates: whether `fit` has validation data; None if that is not known.

    Attributes:
        value: the best so far, with its sign changed where higher is better.
    """

    def __init__(self, monitor: str, validates: bool | None = None):
        direction, _, name = monitor.rpartition(":")
        if not direction:
            direction = "max" if name.endswith(_HIGHER) else "min" if name.endswith(_LOWER) else ""
        if direction not in ("min", "max"):
            raise ValueError(
                f'best={monitor!r} does not say whether higher or lower is better: write "max:{name}" or "min:{name}".'
            )
        if name.startswith("val_") and validates is False:
            raise ValueError(f"best={name!r} needs validation: pass validation_data= to fit, or watch {name[4:]!r}.")
        self.name, self._sign, self.value = name, 1 if direction == "min" else -1, math.inf
        self._validates = validates

    def improved_by(self, logs: Mapping[str, Any]) -> bool:
        """Take in one epoch's logs; tell whether they are the best so far. NaN never is."""
        if self.name not in logs:
            if self._validates and not any(name.startswith("val_") for name in logs):
                return False  # validation_freq= leaves this epoch out
            raise ValueError(
                f"best={self.name!r} is not among the logs: {', '.join(sorted(logs))}. "
                f"Name one of these, or pass validation_data= to fit."
            )
        value = self._sign * float(logs[self.name])
        if not value < self.value:
            return False
        self.value = value
        return True


def kept_by(folds: Sequence, monitor: str | None) -> Best | None:
    """Return the watcher of a log; None: nothing is watched.

    Raises:
        TypeError: the log has no name.
        ValueError: none of the folds keeps a best model.
    """
    if monitor is not None and not isinstance(monitor, str):
        raise TypeError(f'best={monitor!r}: expected the name of a log, such as best="val_loss".')
    if monitor and not any(hasattr(fold, "add_best") for fold in folds):
        raise ValueError(
            f"best={monitor!r}, but no place in into= keeps a best model: add one, as in into=[fold, None]."
        )
    return Best(monitor) if monitor else None


def watching(monitor: str | None, validates: bool | None, judged: bool) -> Best | None:
    """Return the watcher of a log for one `fit`; `judged` says whether the average is validated. None: nothing is watched.

    Raises:
        ValueError: the log will not be there.
    """
    if monitor is None:
        return None
    ours = monitor.rpartition(":")[2].startswith(PREFIX)
    if ours and not judged:
        raise ValueError(f"best={monitor!r} needs mm.Collect(…, validation_data=(x_val, y_val)).")
    return Best(monitor, None if ours else validates)
