"""One row per public thing of a kind. The tests that every such thing has to pass run over these rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error

from manyminima import combine, metrics


@dataclass(frozen=True)
class MetricCase:
    """A metric, an independent reference `(y, probs, weight) -> float`, and the tasks of its inputs."""

    metric: metrics.Metric
    reference: Callable[[Any, Any, Any], float]
    inputs: str = "classes"


@dataclass(frozen=True)
class CombineCase:
    """A combination rule, and a plain loop for one row of one example: `(members, classes), coefficients -> (classes,)`."""

    rule: Callable[..., Any]
    reference: Callable[[Any, Any], Any]


def _brier(y, probs, weight):
    rows = [sum((p - (c == label)) ** 2 for c, p in enumerate(row)) for label, row in zip(y, probs, strict=True)]
    return float(np.average(rows, weights=weight))


def _ece(y, probs, weight):
    weight = np.ones(len(y)) if weight is None else weight
    total = 0.0
    for b in range(15):
        inside = [i for i, row in enumerate(probs) if b / 15 < max(row) <= (b + 1) / 15]
        gaps = [weight[i] * (float(np.argmax(probs[i]) == y[i]) - max(probs[i])) for i in inside]
        total += abs(sum(gaps))
    return total / sum(weight)


def _vote(row, coefficients):
    votes = np.zeros(len(row[0]))
    for member, coefficient in zip(row, coefficients, strict=True):
        winners = [c for c, p in enumerate(member) if p == max(member)]
        for c in winners:
            votes[c] += coefficient / len(winners)
    return votes


def _geometric(row, coefficients):
    products = [np.prod([p**w for p, w in zip(column, coefficients, strict=True)]) for column in zip(*row, strict=True)]
    return np.array(products) / sum(products)


METRICS = [
    MetricCase(metrics.accuracy, lambda y, p, w: accuracy_score(y, p.argmax(-1), sample_weight=w)),
    MetricCase(metrics.brier, _brier),
    MetricCase(metrics.ece, _ece),
    MetricCase(metrics.nll, lambda y, p, w: log_loss(y, p, sample_weight=w, labels=range(p.shape[-1]))),
    MetricCase(metrics.squared_error, lambda y, p, w: mean_squared_error(y, p, sample_weight=w), inputs="targets"),
]

COMBINE = [
    CombineCase(combine.geometric_mean, _geometric),
    CombineCase(combine.majority_vote, _vote),
    CombineCase(combine.mean, lambda row, c: sum(w * np.asarray(p) for w, p in zip(c, row, strict=True))),
]


# Named, not made: this file is read where Keras is not at hand. (name in mm.schedules, arguments)
SCHEDULES = [
    ("Constant", {"rate": 0.1}),
    ("CosineCycles", {"peak": 0.2, "length": 5}),
    ("CosineCycles", {"peak": 0.2, "length": "10/3", "floor": 0.01}),
    ("CosineCycles", {"peak": 0.05, "length": 10, "length_multiplier": 2.0}),
    ("CosineCycles", {"peak": 0.01, "length": 10, "floor": 1e-6, "length_multiplier": 1.5, "rate_multiplier": 0.9}),
    ("Linear", {"start": 0.1, "stop": 0.001, "steps": 40}),
    ("Triangular", {"peak": 0.006, "floor": 0.001, "length": 8}),
    ("Triangular", {"peak": 0.006, "floor": 0.001, "length": "17/2", "amplitude_multiplier": 0.5, "offset": "3/2"}),
    ("Triangular", {"peak": 0.006, "floor": 0.001, "length": 8, "gamma": 0.9}),
]

# (name in mm.recipes, arguments, members it collects in a run of at least 60 steps; None: one for each of some epochs)
RECIPES = [
    ("checkpoints", {"every": 2, "last": 3}, 3),
    ("cyclic", {"cycles": 4, "peak": 0.1}, 4),
    ("cyclic", {"cycles": 3, "peak": 0.1, "floor": 0.02, "amplitude_multiplier": 0.5}, 3),
    ("fge", {"cycles": 3, "peak": 0.1}, 3),
    ("fge", {"cycles": 2, "peak": 0.1, "start": 0.0}, 2),
    ("ema", {"decay": 0.99}, 1),
    ("lawa", {"k": 3}, None),
    ("polyak", {"last": 4}, 4),
    ("snapshot", {"cycles": 1, "peak": 0.1}, 1),
    ("snapshot", {"cycles": 5, "peak": 0.1, "floor": 0.001}, 5),
    ("snapshot", {"cycles": 4, "peak": 0.1, "length_multiplier": 1.5, "rate_multiplier": 0.9}, 4),
    ("snapshot", {"cycles": 3, "peak": 0.1, "update": "epoch"}, 3),
    ("swa", {"peak": 0.1}, None),
    ("swa", {"start": 0.0, "peak": 0.1, "every": 2}, None),
]


def noisy(y, scales, classes=3, seed=0):
    """Probabilities that lean towards the labels, each member with its own noise of its own size."""
    rng = np.random.default_rng(seed)
    scales = np.asarray(scales, float)[:, None, None]
    logits = 2 * np.eye(classes)[y] + scales * rng.normal(size=(len(scales), len(y), classes))
    probs = np.exp(logits)
    return (probs / probs.sum(-1, keepdims=True)).astype(np.float32)


PROBLEM_CLASSES = 4
PROBLEM_NOISE = [1.2, 3.0, 1.6, 2.0]


def members_of(seed, examples=150, task="multiclass"):
    """Labels and four members of different quality, of any task."""
    rng = np.random.default_rng(seed)
    if task == "multilabel":
        y = rng.integers(2, size=(examples, 3))
        noise = np.array(PROBLEM_NOISE)[:, None, None] * rng.normal(size=(4, examples, 3))
        return y, 1 / (1 + np.exp(-(3 * y - 1.5 + noise)))
    if task == "regression":
        y = rng.normal(size=(examples, 2))
        return y, y + np.array(PROBLEM_NOISE)[:, None, None] * rng.normal(size=(4, examples, 2))
    classes = 2 if task == "binary" else PROBLEM_CLASSES
    y = rng.integers(classes, size=examples)
    probs = noisy(y, PROBLEM_NOISE, classes, seed).astype(np.float64)
    probs /= probs.sum(-1, keepdims=True)
    return (y.reshape(-1, 5), probs.reshape(4, -1, 5, classes)) if task == "dense" else (y, probs)


# What a run tells about itself, with what is hard to show in it.
ABOUT = {
    "path": "runs/<script>alert(1)</script>",
    "run_id": "a1b2",
    "created": "2026-01-02T03:04:05",
    "recipe": {"name": "snapshot", "cycles": 3, "peak": 0.1},
    "epochs": 12,
    "steps_per_epoch": 50,
    "collect": [200, 400, 600],
    "lr_curve": {"steps": list(range(600)), "rates": [0.1 * (1 - (t % 200) / 200) for t in range(600)]},
    "model": {"name": "mlp", "parameters": 12345},
    "task": "multiclass",
    "versions": {"manyminima": "0.1.0", "keras": "3.15.0", "backend": "jax"},
    "data": {"name": "blobs", "seed": 0},
    "members": [
        {"step": s, "epoch": s / 50, "replica": 0, "logs": {"val_loss": float("nan")}} for s in (200, 400, 600)
    ],
}
