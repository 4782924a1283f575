"""Where members come from: runs on disk, a fold in memory, lists of arrays, or files that Keras wrote."""

import glob
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from manyminima.datasets.natural import natural_order
from manyminima.runs import architecture
from manyminima.runs.format import Member, Weights
from manyminima.runs.snapshots import Snapshots

__all__ = ["Members", "Stored", "check", "from_files", "members_of"]


class Stored(Sequence):
    """Members on disk: each is read, and checked against its hash, when it is asked for."""

    def __init__(self, places: Sequence[tuple[Snapshots, Member]]):
        self.places = list(places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Stored(self.places[index])
        run, member = self.places[index]
        return run.read(member)

    def shapes(self, index: int) -> list[tuple[int, ...]]:
        """Return the shapes of one member's arrays, once its file was checked as its run says."""
        run, member = self.places[index]
        return run.shapes(member) if run.check == "sizes" else [w.shape for w in run.read(member)]


class Members(NamedTuple):
    """The weights of every member, what is known about them (a run's `about`), and the file of each ("" if it has none)."""

    weights: Sequence[Weights]
    about: dict[str, Any]
    files: list[str]
    checked: bool = False


def members_of(source: Any) -> Members:
    """Return the members of whatever holds some.

    Raises:
        ValueError: no members; or files that are damaged, missing or foreign, all of which are named.
        TypeError: a path, or the arrays of one member, where members were expected.
    """
    if isinstance(source, Members):
        return source
    if isinstance(source, str | os.PathLike):
        raise TypeError(
            f'a path holds no model: write mm.load("{os.fspath(source)}"), or pass mm.Snapshots("{os.fspath(source)}").'
        )
    if isinstance(source, keras.callbacks.Callback) and hasattr(source, "members"):
        raise TypeError(
            "members are expected, and this is the callback that holds them: write Ensemble(model, collect.members)."
        )
    if isinstance(source, keras.Model) or not hasattr(source, "__iter__"):
        raise TypeError(
            f"members are {source!r:.60}: expected lists of arrays, such as [model.get_weights()], or a Snapshots."
        )
    runs = [source] if isinstance(source, Snapshots) else source if _are_runs(source) else None
    found = _in_memory(source) if runs is None else _on_disk(runs)
    if not found.weights:
        raise ValueError(f"{source!r} holds no members: was anything collected before training ended?")
    return found


def _in_memory(source: Any) -> Members:
    members = list(source)
    if members and isinstance(members[0], np.ndarray):
        raise TypeError(
            "members are lists of arrays, and these are arrays: for one member write [model.get_weights()]."
        )
    if any(isinstance(member, keras.Model) for member in members):
        raise TypeError(
            "members are lists of arrays, and these are models: write [model.get_weights() for model in models]."
        )
    known = [asdict(m) for m in getattr(source, "members", [])]
    about = {**(getattr(source, "run", None) or {}), "members": known}
    return Members([list(w) for w in members], about, [""] * len(members))


def _on_disk(runs: Sequence[Snapshots]) -> Members:
    abouts = [run.about for run in runs]
    files = [str(Path(about["path"]) / m["file"]) for about in abouts for m in about["members"]]
    return Members(Stored([(run, member) for run in runs for member in run.members]), _joined(abouts, files), files)


def _are_runs(source: Any) -> bool:
    return isinstance(source, list | tuple) and len(source) > 0 and all(isinstance(run, Snapshots) for run in source)


def _joined(abouts: list[dict[str, Any]], files: list[str]) -> dict[str, Any]:
    """Describe several runs by the first one, and each member by its whole path."""
    if len(abouts) == 1:
        return abouts[0]
    members = [m for about in abouts for m in about["members"]]
    members = [{**m, "file": file} for m, file in zip(members, files, strict=True)]
    first = {name: value for name, value in abouts[0].items() if name != "history"}
    return {**first, "path": ", ".join(about["path"] for about in abouts), "members": members}


def check(model: keras.Model, members: Members) -> Members:
    """Return the members once each was looked at, one at a time.

    Raises:
        ValueError: files that are missing, damaged or foreign, all of which are named; or arrays that are not the model's,
            naming the member and the first difference.
    """
    if members.checked:
        return members
    expected, problems = architecture.variables(model), []
    for i, file in enumerate(members.files):
        where = f"snapshot '{file}'" if file else f"member {i}"
        stored = members.weights if isinstance(members.weights, Stored) else None
        try:
            shapes = stored.shapes(i) if stored else [np.shape(w) for w in members.weights[i]]
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        if not problems:
            architecture.check_weights([{"shape": shape} for shape in shapes], expected, where, model.name)
    if problems:
        raise ValueError("\n".join(problems))
    return members._replace(checked=True)


def from_files(model: keras.Model, patterns: str | os.PathLike | Iterable[str | os.PathLike]) -> Members:
    """Return the members in `.keras` and `.weights.h5` files; `model` serves to read them, and loses its own weights."""
    if isinstance(patterns, str | os.PathLike):
        patterns = [patterns]
    files = list(dict.fromkeys(path for pattern in patterns for path in _matching(os.fspath(pattern))))
    if not files:
        raise ValueError('no files were named: write from_files(build_model, ["models/*.keras"]).')
    known = [asdict(Member(file, step=i)) for i, file in enumerate(files)]
    return Members([_read_weights(model, file) for file in files], {"members": known}, files)


def _matching(pattern: str) -> list[str]:
    """Return the files that match, in the order of the numbers in their names: 10 after 9."""
    found = [pattern] if os.path.exists(pattern) else glob.glob(pattern)  # brackets may be part of a name
    if not found:
        raise FileNotFoundError(f"no file matches '{pattern}': expected a path, or a pattern like \"models/*.keras\".")
    return sorted(found, key=natural_order)


def _read_weights(model: keras.Model, path: str) -> Weights:
    if path.endswith(".keras"):
        loaded = keras.saving.load_model(path, compile=False)
        architecture.check_weights(
            architecture.variables(loaded), architecture.variables(model), f"'{path}'", model.name
        )
        return loaded.get_weights()
    if not path.endswith(".weights.h5"):
        raise ValueError(f"'{path}' is no file of Keras weights: expected a name ending in .keras or .weights.h5.")
    try:
        with warnings.catch_warnings():  # the slots of an optimizer are not asked for
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer", UserWarning)
            model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"'{path}' does not fit model '{model.name}', or is damaged: {error}") from error
    return model.get_weights()
