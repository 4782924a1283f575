"""The split into training, validation and test rows."""

import numpy as np

__all__ = ["fifths"]


def fifths(strata: np.ndarray, names: list[str], seed: int) -> dict[str, np.ndarray]:
    """Take a fifth of each stratum's rows for each name; "train" is what remains. Rows come in rising order.

    >>> {part: rows.tolist() for part, rows in fifths(np.array([0, 0, 0, 0, 0]), ["test"], seed=1).items()}
    {'test': [0], 'train': [1, 2, 3, 4]}
    """
    generator = np.random.Generator(np.random.Philox(seed))
    taken: dict[str, list[np.ndarray]] = {part: [] for part in [*names, "train"]}
    for stratum in np.unique(strata):
        rows = generator.permutation(np.flatnonzero(strata == stratum))
        fifth = round(len(rows) / 5)
        for k, part in enumerate(names):
            taken[part].append(rows[k * fifth : (k + 1) * fifth])
        taken["train"].append(rows[len(names) * fifth :])
    return {part: np.sort(np.concatenate(pieces)) for part, pieces in taken.items()}
