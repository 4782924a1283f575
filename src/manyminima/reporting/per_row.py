"""What an ensemble says of each row, in columns by name: its prediction, and how sure it is of that. No Keras."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manyminima import uncertainty

__all__ = ["Summary", "per_row"]

_EXAMPLES = 5


def per_row(
    probs: np.ndarray, combined: np.ndarray, task: str, classes: Sequence[str] = ()
) -> dict[str, np.ndarray | list[str]]:
    """Return columns of (rows,) by name, in the order in which a file should have them.

    For classes: "class" and "p_<name>" of the combined prediction; "entropy" in nats, the total uncertainty of the members'
    equal mean; "mutual_information" in nats, the part of it in which the members differ; "agreement" 0..1, the share of
    members that predict the class. For regression: "prediction" and "standard_deviation" of the members' predictions, both in
    the target's unit; with a number behind where there are several targets.

    Args:
        probs: (members, rows, classes), or (members, rows, targets).
        combined: the one prediction made of them, (rows, classes) or (rows, targets).
        task: "multiclass", "binary" or "regression".
        classes: their names; "0", "1", ... where there are none.

    Raises:
        ValueError: another task, or pixels or other parts that have predictions of their own.

    Example:
        >>> found = per_row(np.array([[[0.9, 0.1]], [[0.4, 0.6]]]), np.array([[0.65, 0.35]]), "binary", ["no", "yes"])
        >>> found["class"], found["agreement"].tolist()
        (['no'], [0.5])
    """
    if task not in ("multiclass", "binary", "regression") or probs.ndim != 3:
        raise ValueError(
            f"predictions of shape {probs.shape} for the task {task!r} are not one class or a few numbers for each row. "
            f"In Python, mm.load(run).predict(x) returns any."
        )
    if task == "regression":
        return _numbers(probs, combined)
    names = [str(name) for name in classes] or [str(c) for c in range(combined.shape[-1])]
    best = combined.argmax(axis=-1)
    return {
        "class": [names[c] for c in best],
        **{f"p_{name}": combined[:, c] for c, name in enumerate(names)},
        "entropy": uncertainty.total(probs),
        "mutual_information": uncertainty.epistemic(probs),
        "agreement": (probs.argmax(axis=-1) == best).mean(axis=0),
    }


def _numbers(probs: np.ndarray, combined: np.ndarray) -> dict[str, np.ndarray | list[str]]:
    spread = probs.std(axis=0, dtype=np.float64)
    found: dict[str, np.ndarray | list[str]] = {}
    for t in range(combined.shape[-1]):
        end = "" if combined.shape[-1] == 1 else f"_{t}"
        found |= {f"prediction{end}": combined[:, t], f"standard_deviation{end}": spread[:, t]}
    return found


@dataclass
class Summary:
    """What all rows have in common, counted while they go by.

    Attributes:
        rows: How many there were.
        classes: Rows of each predicted class.
        disputed: Rows on which not all members predict that class.
        unknown: For each column, cells with a word that the run does not know.
        words: For each such column, a few of these words.
        gaps: Missing cells of columns that had none in training.
    """

    rows: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    disputed: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    words: dict[str, list[str]] = field(default_factory=dict)
    gaps: Counter[str] = field(default_factory=Counter)

    def add(self, columns: Mapping[str, Any], unknown: Mapping[str, Counter[str]], gaps: Counter[str]) -> None:
        """Take in some rows."""
        self.rows += len(next(iter(columns.values())))
        self.classes.update(columns.get("class", ()))
        if "agreement" in columns:
            self.disputed += int(np.sum(columns["agreement"] < 1))
        self.gaps.update(gaps)
        for name, words in unknown.items():
            self.unknown[name] += sum(words.values())
            shown = self.words.setdefault(name, [])
            shown += [word for word in words if word not in shown][: _EXAMPLES - len(shown)]
