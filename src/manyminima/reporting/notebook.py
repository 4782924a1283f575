"""What notebooks show of ensembles, runs and recipes: parts of a page, each with its own style, that need nothing else."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from manyminima import plots
from manyminima.reporting import about, pictures
from manyminima.reporting.drawing import COLUMN, Picture, svg
from manyminima.reporting.page import render
from manyminima.reporting.trust import TextTable

__all__ = ["ensemble", "recipe", "snapshots"]

_EPOCHS, _STEPS = 60, 20  # of the run that a recipe is shown for
_MOST_MEMBERS = 20
_MOST_LOGS = 6


def ensemble(shown: Any) -> str:
    """An ensemble: what it is, what was run, the learning rate, and its members."""
    return _run(repr(shown), shown.about)


def snapshots(run: Any) -> str:
    """A run on disk, as far as it has got; what is wrong with it, if it cannot be read."""
    try:
        known = run.about
    except (OSError, ValueError) as error:
        return _part(repr(run), note=str(error))
    return _run(repr(run), known)


def _run(title: str, known: Mapping[str, Any]) -> str:
    rates = known.get("lr_curve")
    drawn = [pictures.rate(rates, known.get("collect") or [])] if rates and rates["steps"] else []
    return _part(title, facts=about.lines(known), drawn=drawn, members=_members(known.get("members") or []))


def _members(members: Sequence[Mapping[str, Any]]) -> TextTable | None:
    """A row for each member, with what was logged when it was collected."""
    if not members:
        return None
    logs = list(dict.fromkeys(name for member in members for name in member.get("logs") or {}))[:_MOST_LOGS]
    newest = members[-_MOST_MEMBERS:]
    note = f"The newest {len(newest)} of {len(members)} members." if len(members) > len(newest) else ""
    replicas = len({member.get("replica", 0) for member in members}) > 1
    rows = tuple(
        (
            _name(member, replicas),
            _plain(member.get("epoch")),
            *(_plain((member.get("logs") or {}).get(n)) for n in logs),
        )
        for member in newest
    )
    return TextTable("Members, oldest first", ("collected after", "epoch", *logs), rows, (note,) if note else ())


def _name(member: Mapping[str, Any], replicas: bool) -> str:
    step = f"step {member.get('step', '?')}"
    return f"replica {member.get('replica', 0)}, {step}" if replicas else step


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "" if value is None else str(value)


def recipe(shown: Any) -> str:
    """A recipe: its parameters, and the learning rate and the members of a run of 60 epochs."""
    given = [(field.name, repr(getattr(shown, field.name))) for field in dataclasses.fields(shown)]
    values = [(name, text) for name, text in given if text != "None"]
    relative = getattr(shown, "peak", 0) is None
    try:
        plan = (dataclasses.replace(shown, peak=1.0) if relative else shown).plan(_EPOCHS, _STEPS)
    except ValueError as error:
        return _part(type(shown).__name__, facts=values, note=str(error))
    due = [step for step in range(1, _EPOCHS * _STEPS + 1) if plan.when(step)]
    if plan.lr is None:
        note = f"It leaves the learning rate alone. Of {_EPOCHS} epochs it collects {_at(due)}."
        return _part(type(shown).__name__, facts=values, note=note)
    unit = " The rate is shown as a share of the peak, which is the optimizer's own rate." if relative else ""
    note = f"Of {_EPOCHS} epochs of {_STEPS} steps it collects {_at(due)}.{unit}"
    return _part(type(shown).__name__, facts=values, note=note, drawn=[_schedule(plan.lr, due)])


def _at(due: Sequence[int]) -> str:
    epochs = [f"{step / _STEPS:g}" for step in due]
    text = ", ".join([*epochs[:8], "…", epochs[-1]] if len(epochs) > 10 else epochs)
    return f"{len(due)} time{'' if len(due) == 1 else 's'}, after epoch{'' if len(due) == 1 else 's'} {text}"


def _schedule(lr: Any, due: Sequence[int]) -> Picture:
    steps = np.arange(_EPOCHS * _STEPS)
    rates = np.array([float(lr(int(step))) for step in steps])
    alt = (
        f"The learning rate lies between {rates.min():.3g} and {rates.max():.3g}; members are collected at rates from "
        f"{min(rates[n - 1] for n in due):.3g} to {max(rates[n - 1] for n in due):.3g}."
    )
    caption = "Learning rate of each step. A dot marks a collected member."
    return Picture(svg(partial(plots.learning_rate, steps, rates, due), COLUMN), alt, caption)


def _part(
    title: str,
    *,
    facts: Sequence[tuple[str, str]] = (),
    note: str = "",
    drawn: Sequence[Picture] = (),
    members: TextTable | None = None,
) -> str:
    return render("notebook.html.j2", title=title, facts=facts, note=note, pictures=drawn, members=members)
