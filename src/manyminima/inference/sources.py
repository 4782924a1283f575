"""Where members come from: runs on disk, a fold in memory, lists of arrays, or files that Keras wrote."""

import glob
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from manyminima.runs import architecture
from manyminima.runs.format import Weights
from manyminima.runs.snapshots import Snapshots

__all__ = ["Members", "check_shapes", "matching", "members_of", "read_weights"]


class Members(NamedTuple):
    """The weights of every member, checked, and what is known about them: a run's `about`, or just {"members": []}."""

    weights: list[Weights]
    about: dict[str, Any]


def members_of(source: Any) -> Members:
    """Return the members of whatever holds some.

    Raises:
        ValueError: no members; or files that are damaged, missing or foreign, all of which are named.
    """
    if isinstance(source, Members):
        return source
    runs = [source] if isinstance(source, Snapshots) else source if _are_runs(source) else None
    if runs is None:
        weights: list[Weights] = [list(w) for w in source]
        known = [asdict(m) for m in getattr(source, "members", [])]
        about = {**(getattr(source, "run", None) or {}), "members": known}
    else:
        problems = [problem for run in runs for problem in run.problems()]
        if problems:
            raise ValueError("\n".join(problems))
        weights = [w for run in runs for w in run]
        about = _joined([run.about for run in runs])
    if not weights:
        raise ValueError(f"{source!r} holds no members: was anything collected before training ended?")
    return Members(weights, about)


def _are_runs(source: Any) -> bool:
    return isinstance(source, list | tuple) and len(source) > 0 and all(isinstance(run, Snapshots) for run in source)


def _joined(abouts: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe several runs by the first one, and each member by its whole path."""
    if len(abouts) == 1:
        return abouts[0]
    members = [{**m, "file": str(Path(a["path"]) / m["file"])} for a in abouts for m in a["members"]]
    return {**abouts[0], "path": ", ".join(a["path"] for a in abouts), "members": members}


def check_shapes(model: keras.Model, weights: Iterable[Weights], about: Mapping[str, Any]) -> None:
    """Raise ValueError if a member's arrays are not the model's, naming the member's file and the first difference."""
    expected = architecture.variables(model)
    files = [m["file"] for m in about["members"]]
    for i, member in enumerate(weights):
        known = i < len(files) and files[i]
        where = f"snapshot '{Path(about.get('path', '')) / files[i]}'" if known else f"member {i}"
        architecture.check_weights([{"shape": np.shape(w)} for w in member], expected, where, model.name)


def matching(pattern: str) -> list[str]:
    """Return the files that match, in the order of the numbers in their names: 10 after 9."""
    found = glob.glob(pattern)
    if not found:
        raise FileNotFoundError(f"no file matches '{pattern}'.")
    return sorted(found, key=lambda path: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", path)])


def read_weights(model: keras.Model, path: str) -> Weights:
    """Return the weights in a `.keras` or `.weights.h5` file, in the order of `model.weights`; overwrites `model`'s."""
    if path.endswith(".keras"):
        loaded = keras.saving.load_model(path, compile=False)
        architecture.check_weights(
            architecture.variables(loaded), architecture.variables(model), f"'{path}'", model.name
        )
        return loaded.get_weights()
    if not path.endswith(".weights.h5"):
        raise ValueError(f"'{path}' is no file of Keras weights: expected a name ending in .keras or .weights.h5.")
    model.load_weights(path)
    return model.get_weights()
