"""Fewer rows to train on, for a first try."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from manyminima.datasets.loading import Dataset

__all__ = ["kept_rows", "limited"]


def limited(dataset: "Dataset", limit: int | None) -> "Dataset":
    """Return a data set of at most `limit` training rows, drawn by class with the seed of its split.

    The validation part is cut by the same share. The test part stays whole, so that its scores can be compared.

    Raises:
        ValueError: fewer rows than one for each class are wanted.
    """
    if limit is None or limit >= len(dataset.y_train):
        return dataset
    labels = {"train": dataset.y_train, "val": dataset.y_val}
    kept = kept_rows(labels, len(dataset.contract["classes"]), limit, dataset.contract["seed"])
    rows = {part: len(places) for part, places in kept.items()}
    contract = dataset.contract | {"limit": int(limit), "rows": dataset.contract["rows"] | rows}
    return replace(
        dataset,
        x_train=dataset.x_train[kept["train"]],
        y_train=dataset.y_train[kept["train"]],
        x_val=dataset.x_val[kept["val"]],
        y_val=dataset.y_val[kept["val"]],
        contract=contract,
    )


def kept_rows(labels: dict[str, np.ndarray], classes: int, limit: int, seed: int) -> dict[str, np.ndarray]:
    """Return the places of the rows that are kept of the parts "train" and "val", in rising order.

    Args:
        labels: of these parts, (rows,).
        classes: how many there are; 0 for a regression, whose rows are drawn from all.
        limit: on the training rows.
        seed: of the split.

    Raises:
        ValueError: fewer rows than one for each class are wanted.
    """
    rows = len(labels["train"])
    if isinstance(limit, bool) or limit < max(classes, 1):
        raise ValueError(
            f"the limit is {limit} training rows. Expected at least {max(classes, 1)}, one for each class: type --limit "
            f"{min(100 * max(classes, 1), rows)}, or leave it out."
        )
    share = min(1.0, limit / rows)
    return {part: _some(y if classes else np.zeros(len(y), int), share, seed) for part, y in labels.items()}


def _some(strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return that share of each stratum's rows, at least one, in rising order."""
    generator = np.random.Generator(np.random.Philox(seed))
    places = (generator.permutation(np.flatnonzero(strata == stratum)) for stratum in np.unique(strata))
    return np.sort(np.concatenate([rows[: max(1, int(share * len(rows)))] for rows in places]))
