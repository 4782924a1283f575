"""From a run's directory to an ensemble."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from manyminima.combination import Combination
from manyminima.inference import sources
from manyminima.inference.ensemble import Ensemble
from manyminima.runs import architecture
from manyminima.runs.snapshots import Snapshots

__all__ = ["COMBINATION", "keep", "load"]

COMBINATION = Path("analysis", "combination.json")


def load(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    task: str | Mapping[str, str] | None = None,
    from_logits: bool | None = None,
    execution: str = "auto",
) -> Ensemble:
    """Load the ensemble that a run collected; the model is rebuilt from the run, all files are checked first.

    Coefficients and a temperature that were fitted beside a run are used: they are `ensemble.combination`. Several runs
    joined have other members, and are combined by their mean.

    Args:
        path: a run's directory, or several: their members are joined, run by run.
        custom_objects: classes and functions by name, if they are not registered with Keras.
        safe_mode: refuse models with pickled lambdas, whose code would come out of the run.
        task: as for `Ensemble`; None takes what the run recorded.
        from_logits: as for `Ensemble`.
        execution: as for `Ensemble`.

    Raises:
        FileNotFoundError: no run there.
        ValueError: missing, damaged, foreign or renamed files, runs of different models, or classes that Keras does not
            know.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not paths:
        raise ValueError('mm.load([]) names no run: write mm.load("runs/x").')
    runs = [Snapshots(p) for p in paths]
    model = architecture.rebuild(runs[0].run.get("model"), custom_objects, safe_mode=safe_mode)
    members = sources.check(model, sources.members_of(runs))
    architecture.adopt(model, members.weights[0])
    ensemble = Ensemble(model, members, task=task, from_logits=from_logits, execution=execution)
    return ensemble.combined_by(_kept(runs[0])) if len(runs) == 1 else ensemble


def keep(run: Snapshots, combination: Combination) -> Path:
    """Write a combination of a run's members beside them, where `load` finds it; one that was there is replaced."""
    members = tuple(member.hash for member in run.members)
    return replace(combination, members=members).to_json(run.path / COMBINATION)


def _kept(run: Snapshots) -> Combination | None:
    path = run.path / COMBINATION
    if not path.exists():
        return None
    found = Combination.from_json(path)
    hashes = tuple(member.hash for member in run.members)
    if (found.members and found.members != hashes) or len(found.coefficients(len(hashes))) != len(hashes):
        raise ValueError(
            f"'{path}' was fitted to other members than the run has now. Delete it, then fit anew, as "
            f"`manyminima evaluate {run.path} --coefficients fitted` does."
        )
    return found
