"""Regression members that give a mean and a variance: their mixture, and how well it is calibrated."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import ndtri

from manyminima.checks import numbers

__all__ = ["Mixture", "gaussian_nll", "interval_coverage", "mixture"]

Outputs = Float[np.ndarray, "*examples"]


@dataclass(frozen=True)
class Mixture:
    """The moments of the equal mixture of the members' distributions.

    Attributes:
        mean: (examples, ..., targets) in the target's unit.
        aleatoric: (examples, ..., targets) mean of the members' variances, in the target's unit squared.
        epistemic: (examples, ..., targets) variance of the members' means, in the target's unit squared.
    """

    mean: Outputs
    aleatoric: Outputs
    epistemic: Outputs

    @property
    def variance(self) -> Outputs:
        """(examples, ..., targets) the variance of the mixture, `aleatoric + epistemic`."""
        return self.aleatoric + self.epistemic

    def __str__(self) -> str:
        return (
            f"mixture of means for {self.mean.size:,} values: mean variance {self.variance.mean():.4g}, of which "
            f"{self.epistemic.mean():.4g} between members"
        )


def mixture(means: ArrayLike, variances: ArrayLike | None = None) -> Mixture:
    """Mean and variance of the members' mixture, in the target's unit and its square; a higher variance is less sure.

    ```python
    mean = means.mean(0)
    variance = np.mean(variances + means**2, axis=0) - mean**2
    ```

    The variance is computed as `variances.mean(0) + means.var(0)`, which is the same and never negative.

    Args:
        means: (members, examples, ..., targets).
        variances: the same shape, at least 0. None: members that give a mean only, and so have no spread of their own.

    Raises:
        ValueError: The shapes differ, a variance is negative, or NaN or infinity in one of them.

    Example:
        >>> both = mixture([[[1.0]], [[3.0]]], variances=[[[0.5]], [[1.5]]])
        >>> both.mean.tolist(), both.variance.tolist()
        ([[2.0]], [[2.0]])

    Reference:
        Lakshminarayanan et al. 2017, Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles,
        section 2.4.
    """
    outputs = numbers(means, "means")
    if outputs.ndim < 2:
        raise ValueError(
            f"means has shape {outputs.shape}, expected (members, examples, targets). For a single member pass means[None]."
        )
    epistemic = outputs.var(axis=0)
    aleatoric = np.zeros_like(epistemic) if variances is None else _spread(variances, outputs).mean(axis=0)
    return Mixture(outputs.mean(axis=0), aleatoric, epistemic)


def gaussian_nll(y: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> float:
    """Negative log-likelihood of the targets under normal distributions, a mean in nats; lower is better.

    ```python
    np.mean(0.5 * (np.log(2 * np.pi * variance) + (y - mean) ** 2 / variance))
    ```

    It is the likelihood of each target by itself, a mean over examples and targets, and may be negative.

    Args:
        y: (examples, ..., targets).
        mean: the same shape.
        variance: the same shape, positive, in the target's unit squared.

    Raises:
        ValueError: The shapes differ, a variance is not positive, or NaN or infinity in one of them.

    Example:
        >>> round(gaussian_nll([0.0, 2.0], mean=[0.0, 1.0], variance=[1.0, 1.0]), 4)
        1.1689

    Reference:
        Nix and Weigend 1994, Estimating the Mean and Variance of the Target Probability Distribution.
    """
    targets, mean, variance = _normal(y, mean, variance)
    return float(np.mean(0.5 * (np.log(2 * np.pi * variance) + (targets - mean) ** 2 / variance)))


def interval_coverage(y: ArrayLike, mean: ArrayLike, variance: ArrayLike, level: float = 0.95) -> float:
    """Share of the targets inside the central interval of their normal distribution, 0..1; best near `level`.

    More than `level` is less sure than need be, less is too sure. The ends belong to the interval.

    ```python
    np.mean(np.abs(y - mean) <= scipy.stats.norm.ppf((1 + level) / 2) * np.sqrt(variance))
    ```

    Args:
        y: (examples, ..., targets).
        mean: the same shape.
        variance: the same shape, positive, in the target's unit squared.
        level: Share of the distribution inside the interval, between 0 and 1.

    Raises:
        ValueError: The shapes differ, a variance is not positive, NaN or infinity in one of them, or a level outside 0..1.

    Example:
        >>> interval_coverage([0.0, 1.9, 2.1], mean=[0.0, 0.0, 0.0], variance=[1.0, 1.0, 1.0], level=0.95)
        0.6666666666666666

    Reference:
        Kuleshov, Fenner and Ermon 2018, Accurate Uncertainties for Deep Learning Using Calibrated Regression, section 3.
    """
    if not 0 < level < 1:
        hint = f" Pass level={level / 100:.4g}." if 1 < level < 100 else " Pass level=0.95."
        raise ValueError(f"level is {level}, expected a share between 0 and 1.{hint}")
    targets, mean, variance = _normal(y, mean, variance)
    return float(np.mean(np.abs(targets - mean) <= ndtri((1 + level) / 2) * np.sqrt(variance)))


def _spread(variances: ArrayLike, means: np.ndarray) -> Float[np.ndarray, "members *examples"]:
    values = numbers(variances, "variances")
    if values.shape != means.shape:
        raise ValueError(
            f"variances has shape {values.shape}, but means has {means.shape}. Pass one variance for each mean, as in "
            "np.broadcast_to(variances, means.shape)."
        )
    if values.min() < 0:
        raise ValueError(
            f"variances holds {values.min():.4g}, expected numbers of at least 0. If the model gives their logarithm, "
            "pass np.exp(variances)."
        )
    return values


def _normal(y: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    arrays = numbers(y, "y"), numbers(mean, "mean"), numbers(variance, "variance")
    targets, centre, spread = arrays
    if not targets.shape == centre.shape == spread.shape:
        raise ValueError(
            f"y has shape {targets.shape}, mean {centre.shape} and variance {spread.shape}, expected three times the same. "
            "Combine the members first: mixture(means, variances) has .mean and .variance. For y without the axis of a "
            "single target pass y[..., None]."
        )
    if spread.min() <= 0:
        raise ValueError(
            f"variance holds {spread.min():.4g}, expected positive numbers. Members that agree exactly leave no variance: "
            "add that of the noise, as in variance + np.mean((y_val - mean_val) ** 2)."
        )
    return arrays
