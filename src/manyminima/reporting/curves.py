"""Learning curves out of what a run recorded: the logs of its epochs, or else those of its members."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Curve", "learning_curves"]

_SHOWN = 2  # metrics: the loss, and the first of the others
_FEWEST = 2


@dataclass(frozen=True)
class Curve:
    """One metric while the model was trained.

    Attributes:
        metric: Its name in Keras's logs, such as "loss".
        unit: What `at` counts, "epoch" or "step".
        at: (points,) when it was logged.
        values: (points,) for "training", "validation" or both; NaN where there is none.
        collected: When members were collected.
        every_epoch: Whether all epochs were logged; if not, it is the members' logs.
    """

    metric: str
    unit: str
    at: tuple[float, ...]
    values: dict[str, tuple[float, ...]]
    collected: tuple[float, ...]
    every_epoch: bool


def learning_curves(about: Mapping[str, Any]) -> list[Curve]:
    """The loss and one more metric; none where too little was logged, or several runs at once.

    >>> members = [{"step": 10, "logs": {"loss": 0.9, "val_loss": 1.0}}, {"step": 20, "logs": {"loss": 0.5}}]
    >>> [(c.metric, c.at, c.values["training"]) for c in learning_curves({"members": members})]
    [('loss', (10.0, 20.0), (0.9, 0.5))]
    """
    members = about.get("members") or []
    if len({(member.get("replica", 0), str(member.get("file", "")).count("/") > 1) for member in members}) > 1:
        return []
    unit = "epoch" if members and all(_is_number(member.get("epoch")) for member in members) else "step"
    found = about.get("history") or []
    entries = found if len(found) >= _FEWEST and unit == "epoch" else members
    points = [(_number(one.get(unit)), one.get("logs") or {}) for one in entries if _is_number(one.get(unit))]
    if len(points) < _FEWEST:
        return []
    collected = tuple(_number(member.get(unit)) for member in members)
    names = _metrics(name for _, logs in points for name in logs)
    curves = (_curve(name, unit, points, collected, entries is found) for name in names)
    return [curve for curve in curves if curve.values][:_SHOWN]


def _metrics(names: Iterable[str]) -> list[str]:
    """Names without "val_", the loss first."""
    metrics = dict.fromkeys(name.removeprefix("val_") for name in names if name != "learning_rate")
    return sorted(metrics, key=lambda name: name != "loss")


def _curve(metric: str, unit: str, points: list[tuple[float, Any]], collected: tuple[float, ...], every: bool) -> Curve:
    values = {}
    for name, key in (("training", metric), ("validation", f"val_{metric}")):
        line = tuple(_number(logs.get(key)) for _, logs in points)
        if sum(map(math.isfinite, line)) >= _FEWEST:
            values[name] = line
    return Curve(metric, unit, tuple(at for at, _ in points), values, collected, every)


def _is_number(value: Any) -> bool:
    return math.isfinite(_number(value))


def _number(value: Any) -> float:
    """A log as a number; NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
