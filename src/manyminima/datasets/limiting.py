"""Fewer rows to train on, for a first try."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from manyminima.datasets.loading import Dataset

__all__ = ["limited"]


def limited(dataset: "Dataset", limit: int | None) -> "Dataset":
    """Return a data set of at most `limit` training rows, drawn by class with the seed of its split.

    The validation part is cut by the same share. The test part stays whole, so that its scores can be compared.

    Raises:
        ValueError: fewer rows than one for each class are wanted.
    """
    if limit is None or limit >= len(dataset.y_train):
        return dataset
    classes = len(dataset.contract["classes"])
    if isinstance(limit, bool) or limit < max(classes, 1):
        raise ValueError(
            f"the limit is {limit} training rows. Expected at least {max(classes, 1)}, one for each class: type --limit "
            f"{min(100 * max(classes, 1), len(dataset.y_train))}, or leave it out."
        )
    share = limit / len(dataset.y_train)
    kept = {}
    for part, y in (("train", dataset.y_train), ("val", dataset.y_val)):
        kept[part] = _some(y if classes else np.zeros(len(y), int), share, dataset.contract["seed"])
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


def _some(strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return that share of each stratum's rows, at least one, in rising order."""
    generator = np.random.Generator(np.random.Philox(seed))
    places = (generator.permutation(np.flatnonzero(strata == stratum)) for stratum in np.unique(strata))
    return np.sort(np.concatenate([rows[: max(1, int(share * len(rows)))] for rows in places]))
