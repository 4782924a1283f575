"""What options are worth: on validation rows to choose, on the test rows once."""

import numpy as np

from manyminima import combine, metrics, selection
from manyminima.calibrated import calibrated_nll
from quality.ideas import Option
from quality.problem import rows
from quality.trails import predict

__all__ = ["combined", "crossed", "on_validation", "scores"]


def _members(option: Option, seed: int, part: str) -> np.ndarray:
    """Predictions of all members of all runs, (members, examples, classes)."""
    return np.concatenate([predict(trail, option.average, option.steps, part) for trail in option.trails(seed)])


def _coefficients(option: Option, y: np.ndarray, probs: np.ndarray) -> np.ndarray:
    choose = {"fitted": selection.fit_coefficients, "best newest": selection.newest}[option.combine]
    return choose(y, probs).coefficients


def combined(option: Option, seed: int, part: str) -> np.ndarray:
    """One prediction, (examples, classes), NaN where a run has diverged; coefficients are fitted on validation rows."""
    probs, y = _members(option, seed, part), rows("val")[1]
    if not np.isfinite(probs).all():
        return np.full(probs.shape[1:], np.nan)
    if option.combine == "mean":
        return combine.mean(probs)
    if part == "val":
        return crossed(option, y, probs)
    return np.tensordot(_coefficients(option, y, _members(option, seed, "val")), probs, 1)


def crossed(option: Option, y: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """One prediction of each half of the rows, with the coefficients that were fitted on the other half."""
    out, half = np.empty(probs.shape[1:]), np.random.default_rng(0).permutation(len(y)) < len(y) // 2
    for fit, use in ((half, ~half), (~half, half)):
        out[use] = np.tensordot(_coefficients(option, y[fit], probs[:, fit]), probs[:, use], 1)
    return out


def on_validation(option: Option, seeds: range) -> list[float]:
    """Calibrated NLL on the validation rows for each seed; infinite where a run has diverged. Lower is better."""
    found = []
    for seed in seeds:
        probs = combined(option, seed, "val")
        found.append(calibrated_nll(rows("val")[1], probs) if np.isfinite(probs).all() else float("inf"))
    return found


def scores(y: np.ndarray, probs: np.ndarray) -> dict[str, list[float]]:
    """Error in percent, NLL, calibrated NLL and ECE of each seed's prediction, (seeds, examples, classes)."""
    return {
        "error": [100 * (1 - metrics.accuracy(y, one)) for one in probs],
        "nll": [metrics.nll(y, one) for one in probs],
        "calibrated_nll": [calibrated_nll(y, one) for one in probs],
        "ece": [metrics.ece(y, one) for one in probs],
    }
