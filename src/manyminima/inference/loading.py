"""From a run's directory to an ensemble."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from manyminima.inference import sources
from manyminima.inference.ensemble import Ensemble
from manyminima.runs import architecture
from manyminima.runs.snapshots import Snapshots

__all__ = ["load"]


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
    return Ensemble(model, members, task=task, from_logits=from_logits, execution=execution)
