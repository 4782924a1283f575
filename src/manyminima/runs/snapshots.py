"""A run on disk: the fold that writes members while training goes on, and the sequence that reads them afterwards."""

import contextlib
import datetime
import json
import os
import platform
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

import manyminima
from manyminima.runs import tasks
from manyminima.runs.behind import Behind, settle
from manyminima.runs.format import (
    FORMAT,
    MEMBER_NAME,
    Member,
    Weights,
    hash_file,
    json_text,
    member_file,
    read_json,
    read_member,
    write_json,
    write_member,
)

__all__ = ["Snapshots"]


class Snapshots:
    """The members of one run in a directory, oldest first: a list of arrays each, in the order of `model.weights`.

    As `into=` of `Collect` it takes every member the moment it is collected, and writes it while training goes on. Afterwards
    it reads: `len`, iteration, `snapshots[-1]`, `snapshots.members` (step, epoch, logs of each). Files are checked against
    their hashes when read.

    Args:
        path: the directory; created when training starts. One that holds a run already is never written to.
        data: what the run should record about its data (JSON: source, split, seed, classes).
        rebuild: whether the run must be able to rebuild its model. With False, models that Keras cannot serialise
            can be trained too; predict with `Ensemble(model, Snapshots(path))` then.

    Raises:
        FileExistsError: on the first write, if the directory already holds a run.
        ValueError: on reading, naming each file that is truncated, altered, renamed or of another run.
    """

    def __init__(self, path: str | os.PathLike, *, data: Mapping[str, Any] | None = None, rebuild: bool = True):
        self.path = Path(path)
        self.rebuild = rebuild
        self._data = _checked(data)
        self._run_hash = ""
        self._run: dict[str, Any] | None = None  # run.json, once written or read
        self._written: list[Member] = []
        self._behind: Behind | None = None

    def __repr__(self):
        return f"Snapshots({str(self.path)!r})"

    # -- writing: a fold ---------------------------------------------------------------------------------------------

    def begin(self, run: Mapping[str, Any]) -> None:
        """Claim the directory and write `run.json`; called once, before training."""
        held = [p for p in (*self.path.glob("members/*.safetensors"), self.path / "best.safetensors") if p.exists()]
        foreign = [p for p in (self.path / "run.json", self.path / "index.json") if p.exists() and not _is_ours(p)]
        if held:
            raise FileExistsError(
                f"'{self.path}' already holds a run ({held[0].name} is there), and a run is never overwritten. "
                f"Choose another directory, or delete it first."
            )
        if foreign:
            raise FileExistsError(f"'{foreign[0]}' is not of a run that this version reads. Choose another directory.")
        try:
            # It may exist: a run that ended before its first member is none.
            (self.path / "members").mkdir(parents=True, exist_ok=True)
            self._run = {"format": FORMAT, "run_id": uuid.uuid4().hex, "created": _now(), **run, "data": self._data}
            self._run["versions"] = {"manyminima": manyminima.__version__, **_machine(), **run.get("versions", {})}
            self._run_hash = write_json(self.path / "run.json", self._run)
        except OSError as error:
            raise OSError(
                f"cannot write a run to '{self.path}': {error}. Choose a directory that can be written to."
            ) from error
        self._written = []
        self._write_index()

    def add(
        self,
        weights: Weights,
        step: int,
        *,
        epoch: float | None = None,
        logs: Mapping | None = None,
        kind: str = "snapshot",
        replica: int = 0,
    ) -> None:
        """Write one member: `weights` in the order of `model.weights`, collected after `step` batches of run `replica`."""
        if self._run is None:
            self.begin({"variables": [{"path": "", **_shape(w)} for w in weights]})
        if not self._written:
            self._check_still_ours()
        member = Member(member_file(step, replica), int(step), int(replica), epoch, kind, dict(logs or {}))
        self._do(self._write, member, weights)

    def write_behind(self, behind: Behind) -> None:
        """Have members written by a thread from now on, while training goes on, until `behind` is closed."""
        self._behind = behind

    def _do(self, write: Callable[[Member, Weights], None], member: Member, weights: Weights) -> None:
        if self._behind is None or self._behind.closed:
            return write(member, weights)
        # Copied, since torch hands out its own memory, in which training goes on.
        self._behind.submit((self, write.__name__), write, member, [np.array(w) for w in weights])

    def _write(self, member: Member, weights: Weights) -> None:
        with self._telling_of(member):
            self._written.append(write_member(self.path, self.run["run_id"], member, weights))
            self._write_index()

    def add_best(self, weights: Weights, step: int, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        """Replace the best single model, which is kept apart from the members."""
        member = Member("best.safetensors", step=int(step), epoch=epoch, kind="best", logs=dict(logs or {}))
        self._do(self._write_best, member, weights)

    def _write_best(self, member: Member, weights: Weights) -> None:
        with self._telling_of(member):
            write_member(self.path, self.run["run_id"], member, weights)

    @contextlib.contextmanager
    def _telling_of(self, member: Member):
        """Say of an error which member it was and what is left; safetensors has its own for a full disk."""
        try:
            yield
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"cannot write '{self.path / member.file}': {error}. What was written before is complete: "
                f"mm.load({str(self.path)!r}) gives it. Make room, or choose another directory, and train again."
            ) from error

    def _check_still_ours(self) -> None:
        """Before its first member a run's directory looks free: another one may have claimed it as well."""
        if read_json(self.path / "run.json").get("run_id") != self.run["run_id"]:
            raise FileExistsError(
                f"another run has begun to write to '{self.path}'. Give each run a directory of its own."
            )

    def _write_index(self) -> None:
        index = {"format": FORMAT, "run_id": self.run["run_id"], "run_hash": self._run_hash}
        write_json(self.path / "index.json", {**index, "members": [asdict(m) for m in self._written]})

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def run(self) -> dict[str, Any]:
        """What `run.json` says: recipe, model, variables, task, data, versions."""
        if self._run is None:
            try:
                self._run = read_json(self.path / "run.json")
            except (FileNotFoundError, NotADirectoryError):
                raise FileNotFoundError(
                    f"'{self.path}' holds no run: there is no run.json in it. Expected a directory that "
                    f'Collect(recipe, into="{self.path}") or `manyminima train` has written.'
                ) from None
        return self._run

    @property
    def members(self) -> list[Member]:
        """The members as the index knows them, oldest first; sorted by (step, replica), never by name or file time.

        A complete file that the index does not name yet, because the run died between the two writes, is counted.
        """
        settle()
        run_id = self.run["run_id"]
        members = self._indexed(run_id)
        for file in sorted(self._files() - members.keys()):
            members[file] = read_member(self.path, run_id, file)[0]
        return sorted(members.values(), key=lambda m: (m.step, m.replica))

    def _indexed(self, run_id: str) -> dict[str, Member]:
        """Return the members that the index names; none if it is missing, since the files tell all by themselves."""
        path = self.path / "index.json"
        if not path.exists():
            return {}
        index = read_json(path)
        if index.get("run_id") != run_id:
            raise ValueError(f"'{path}' belongs to another run than run.json. Restore the right one.")
        if index.get("run_hash") != hash_file(self.path / "run.json"):
            raise ValueError(
                f"'{self.path / 'run.json'}' is damaged: it is not what the run wrote. Restore it from a copy."
            )
        try:
            return {m["file"]: Member(**m) for m in index["members"]}
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"'{path}' is damaged ({error}). Delete it: the members' files tell all it holds."
            ) from error

    def _files(self) -> set[str]:
        try:
            found = {f"members/{p.name}" for p in (self.path / "members").iterdir() if not p.name.startswith(".")}
        except FileNotFoundError:
            raise FileNotFoundError(f"'{self.path / 'members'}' is missing. Restore it from a copy.") from None
        for file in found:
            if not MEMBER_NAME.fullmatch(Path(file).name):
                raise ValueError(
                    f"'{self.path / file}' is not a member of this run: members are called like {member_file(800)}. "
                    f"Move it out of the run."
                )
        return found

    def read(self, member: Member) -> list[np.ndarray]:
        """Return the weights of one of `members`, checked against their hash."""
        if not MEMBER_NAME.fullmatch(member.file.removeprefix("members/")):
            raise ValueError(f"'{self.path / 'index.json'}' names '{member.file}', which no member is called.")
        found, arrays = read_member(self.path, self.run["run_id"], member.file)
        if member.hash != found.hash:
            raise ValueError(
                f"'{self.path / member.file}' is not the file that the run wrote: its hash differs from the index. "
                f"Restore it from a copy."
            )
        if member != found:
            raise ValueError(
                f"'{self.path / 'index.json'}' is damaged: of '{member.file}' it says {asdict(member)}, and the file itself "
                f"{asdict(found)}. Delete the index: the members' files tell all it holds."
            )
        return arrays

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        for member in self.members:
            yield self.read(member)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.read(self.members[index])

    @property
    def best(self) -> tuple[Member, list[np.ndarray]]:
        """The best single model by the monitored log, with its weights; it is not one of the members."""
        settle()
        if not (self.path / "best.safetensors").exists():
            raise FileNotFoundError(f"'{self.path}' keeps no best model: collect with Collect(…, best=\"val_loss\").")
        return read_member(self.path, self.run["run_id"], "best.safetensors")

    def problems(self) -> list[str]:
        """Read every file and say what is wrong, one sentence for each damaged, missing or foreign one; [] if all is well."""
        found = []
        try:
            members = self.members
        except (ValueError, OSError) as error:
            return [str(error)]
        for member in members:
            try:
                self.read(member)
            except (ValueError, OSError) as error:
                found.append(str(error))
        return found

    @property
    def about(self) -> dict[str, Any]:
        """All that is known about the run and its members, as plain data for reports; no arrays are read."""
        run = {k: v for k, v in self.run.items() if k not in ("format", "variables")}
        kinds = {name: task and task.kind for name, task in tasks.from_json(run.get("tasks")).items()}
        run["task"] = kinds[""] if set(kinds) == {""} else kinds
        run["model"] = {k: v for k, v in (run.get("model") or {}).items() if k != "config"} or None
        return {"path": str(self.path), **run, "members": [asdict(m) for m in self.members]}


def _checked(data: Mapping[str, Any] | None) -> dict[str, Any] | None:
    try:
        return None if data is None else json.loads(json_text(dict(data)))
    except TypeError as error:
        raise TypeError(f"data={data!r} cannot be recorded: {error}. Use text, numbers, lists and dicts.") from None


def _is_ours(path: Path) -> bool:
    try:
        read_json(path)
    except ValueError:
        return False
    return True


def _shape(array: np.ndarray) -> dict[str, Any]:
    return {"shape": list(array.shape), "dtype": array.dtype.name}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _machine() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": np.__version__, "platform": platform.platform(terse=True)}
