"""From a run's directory to an ensemble."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from manyminima.combination import Combination
from manyminima.inference import sources
from manyminima.inference.ensemble import Ensemble
from manyminima.runs import architecture
from manyminima.runs.snapshots import Snapshots
from manyminima.runs.strict import check_folder, read_bytes

__all__ = ["COMBINATION", "keep", "load"]

COMBINATION = Path("analysis", "combination.json")


def load(
    path: str | os.PathLike | Snapshots | Sequence[str | os.PathLike | Snapshots],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    task: str | Mapping[str, str] | None = None,
    from_logits: bool | None = None,
    execution: str = "auto",
) -> Ensemble:
    """Load the ensemble that a run collected; the model is rebuilt from the run, all files are checked first.

    Every member is read once and compared with its SHA-256 before anything is predicted. Where that takes too long, and nobody
    can have touched the files, write `mm.load(mm.Snapshots("runs/x", check="sizes"))`: names, headers, shapes and sizes are
    compared only.

    A run may come from a stranger: nothing in it is executed, no file outside of it is read, and memory is taken for what its
    members really hold only. (Data that a run names are read by `manyminima evaluate`, not here.)

    Coefficients and a temperature that were fitted beside a run are used: they are `ensemble.combination`. Several runs
    joined have other members, and are combined by their mean.

    Args:
        path: a run's directory, or a `Snapshots` of it, or several: their members are joined, run by run.
        custom_objects: classes and functions by name, if they are not registered with Keras.
        safe_mode: refuse models with pickled lambdas, whose code would come out of the run, and models that are larger than
            their members.
        task: as for `Ensemble`; None takes what the run recorded.
        from_logits: as for `Ensemble`.
        execution: as for `Ensemble`.

    Raises:
        FileNotFoundError: no run there.
        ValueError: missing, damaged, foreign or renamed files, links, runs of different models, classes that Keras does not
            know, or a model that it cannot build.
    """
    if path is None or not isinstance(path, str | os.PathLike | Snapshots | Sequence):
        raise TypeError(f'{path!r:.60} is no run: write mm.load("runs/x"), or several of them in a list.')
    given = [path] if isinstance(path, str | os.PathLike | Snapshots) else list(path)
    if not given:
        raise ValueError('mm.load([]) names no run: write mm.load("runs/x").')
    runs = [run if isinstance(run, Snapshots) else Snapshots(run) for run in given]
    found = sources.members_of(runs)
    model = _model(runs, custom_objects, safe_mode)
    members = sources.check(model, found)
    architecture.adopt(model, members.weights[0])
    ensemble = Ensemble(model, members, task=task, from_logits=from_logits, execution=execution)
    return ensemble.combined_by(_kept(runs[0])) if len(runs) == 1 else ensemble


def _model(runs: Sequence[Snapshots], custom_objects: Mapping[str, Any] | None, safe_mode: bool) -> keras.Model:
    """Build the model that the first run describes, if it is as large as the run's first member."""
    run = runs[0]
    first = run.members[0]
    try:
        shapes = run.shapes(first)
    except (ValueError, OSError) as error:
        raise ValueError("\n".join(problem for run in runs for problem in run.problems()) or str(error)) from error
    try:
        where = f"snapshot '{run.path / first.file}'"
        return architecture.rebuild_of(
            run.run.get("model"), shapes, where, custom_objects=custom_objects, safe_mode=safe_mode
        )
    except ValueError as error:
        raise ValueError(f"'{run.path / 'run.json'}': {error}") from error


def keep(run: Snapshots, combination: Combination) -> Path:
    """Write a combination of a run's members beside them, where `load` finds it; one that was there is replaced."""
    members = tuple(member.hash for member in run.members)
    return replace(combination, members=members).to_json(run.path / COMBINATION)


def _kept(run: Snapshots) -> Combination | None:
    path = run.path / COMBINATION
    if not os.path.lexists(path):
        return None
    check_folder(path.parent)
    read_bytes(path)  # a plain file, and not too large
    found = Combination.from_json(path)
    hashes = tuple(member.hash for member in run.members)
    if (found.members and found.members != hashes) or len(found.coefficients(len(hashes))) != len(hashes):
        raise ValueError(
            f"'{path}' was fitted to other members than the run has now. Delete it, then fit anew, as "
            f"`manyminima evaluate {run.path} --coefficients fitted` does."
        )
    return found
