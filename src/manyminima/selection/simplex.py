"""The lowest loss over non-negative coefficients of sum 1, by Newton steps that keep to them.

Each step minimises the second-order model of the loss over the same coefficients, with an active set, and goes towards
its minimum as far as the loss falls. The duality gap of the loss, no property of the path, says when to stop.

Reference: Kim, Carbonetto, Stephens and Anitescu 2020, A Fast Algorithm for Maximum Likelihood Estimation of Mixture
Proportions Using Sequential Quadratic Programming.
"""

import numpy as np
from jaxtyping import Bool

from manyminima.arrays import Pairs, PerMember
from manyminima.selection.losses import Loss, equal, smooth_gap

__all__ = ["lowest"]

AIM = 1e-12  # the gap to stop at, in the loss's own unit
_STEPS = 100
_WARM_UP = 3
_RIDGE = 1e-10  # keeps models of members that depend on each other solvable; the steps still end at the loss's optimum


def lowest(loss: Loss) -> PerMember:
    """The coefficients with the lowest loss, equal among members that are alike on every row."""
    alike = _alike(loss)
    distinct = type(loss)(loss.values[np.unique(alike, return_index=True)[1]], loss.weight)
    found = _minimum(distinct)
    return found[alike] / np.bincount(alike)[alike]


def _alike(loss: Loss) -> np.ndarray:
    """For each member the number of the distinct one that it is."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(member.tobytes(), len(seen)) for member in loss.values])


def _minimum(loss: Loss) -> PerMember:
    best = coefficients = _warm_up(loss)
    smallest = smooth_gap(loss, best)
    for _ in range(_STEPS):
        if smallest <= AIM * loss.unit:
            break
        coefficients, moved = _step(loss, coefficients)
        bound = smooth_gap(loss, coefficients)
        if bound < smallest:
            best, smallest = coefficients, bound
        if not moved:
            break
    return best


def _warm_up(loss: Loss) -> PerMember:
    """From equal coefficients, for the log loss, closer to the optimum by rounds of EM, which never raise it."""
    coefficients = equal(len(loss.values))
    for _ in range(_WARM_UP if loss.metric == "nll" else 0):
        share = coefficients * -loss.slopes(coefficients)
        if share.sum() == 0:  # no member gives any label a probability
            break
        coefficients = share / share.sum()
    return coefficients


def _step(loss: Loss, start: PerMember) -> tuple[PerMember, bool]:
    """One Newton step, shortened until the loss falls by a share of what its slope promises."""
    slopes, curvature = loss.slopes(start), loss.curvature(start)
    scale = np.trace(curvature) / len(start)
    model = curvature / scale + _RIDGE * np.eye(len(start))
    towards = _model_minimum(model, slopes / scale - model @ start, start) - start
    before, promise, length = loss.smooth(start), float(slopes @ towards), 1.0
    rounding = 4 * np.finfo(float).eps * loss.unit
    while length > 1e-12:
        end = np.maximum(start + length * towards, 0)
        if loss.smooth(end) <= before + 1e-4 * length * promise + rounding:
            return end / end.sum(), promise < 0
        length /= 2
    return start, False


def _model_minimum(curvature: Pairs, slopes: PerMember, start: PerMember) -> PerMember:
    """The minimum of `w @ curvature @ w / 2 + slopes @ w` over the simplex, by the active set of Lawson and Hanson."""
    point, free = start, start > 0
    tolerance = 1e-14 * np.abs(curvature).max()
    for _ in range(10 * len(start) + 10):
        target = _on_face(curvature, slopes, free)
        below = free & (target <= 0)
        if below.any():
            shares = np.where(below, point / np.where(below, point - target, 1), np.inf)
            point = np.where(below & (shares == shares.min()), 0, point + shares.min() * (target - point))
            free = free & (point > 0)
            continue
        point, rise = target, curvature @ target + slopes
        gains = np.where(free, -np.inf, rise[free].mean() - rise)
        if gains.max() <= tolerance:
            break
        free = free | (np.arange(len(start)) == gains.argmax())
    return point


def _on_face(curvature: Pairs, slopes: PerMember, free: Bool[np.ndarray, " members"]) -> PerMember:
    """The minimum where only the free members may differ from 0 and their sum is 1, whatever their signs."""
    count = np.count_nonzero(free)
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = curvature[np.ix_(free, free)]
    system[count, count] = 0
    target = np.zeros(len(free))
    target[free] = np.linalg.solve(system, np.append(-slopes[free], 1.0))[:count]
    return target
