"""A run on disk: the fold that writes members while training goes on, and the sequence that reads them afterwards."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from safetensors import SafetensorError

from manyminima.runs import lock, resume, tasks
from manyminima.runs.behind import Behind, settle
from manyminima.runs.claiming import claim, named, recordable
from manyminima.runs.descriptions import member_files, read_index, read_run, write_index
from manyminima.runs.format import BEST, Member, Weights, hash_file, member_file, temporaries, write_member
from manyminima.runs.stored import arrays_of, check_identity, check_new, opened, shape_of
from manyminima.runs.streaming import read_member

__all__ = ["Snapshots"]

Check = Literal["hashes", "sizes"]


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
        check: "hashes" reads every member and compares it with its SHA-256 whenever it is read. "sizes", for large runs that
            nobody can have touched, compares names, headers, shapes and sizes, which notices missing, truncated and foreign
            files but no flipped bit.

    Raises:
        FileExistsError: on the first write, if the directory already holds a run, or another process writes to it.
        ValueError: on reading, naming each file that is truncated, altered, renamed or of another run.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        data: Mapping[str, Any] | None = None,
        rebuild: bool = True,
        check: Check = "hashes",
    ):
        if check not in get_args(Check):
            raise ValueError(f'check={check!r}: expected "hashes", or "sizes" for speed.')
        self._given = named(path)
        self._absolute = self._given.absolute()
        self.rebuild, self.check = rebuild, check
        self._data = recordable(data)
        self._run_hash = ""
        self._run: dict[str, Any] | None = None  # run.json, once written or read
        self._written: list[Member] = []
        self._added: set[str] = set()  # those among them that may still wait for their turn
        self._left_out: list[dict[str, Any]] = []
        self._newest_step = 0
        self._behind: Behind | None = None
        self._lock: lock.Lock | None = None

    def __repr__(self):
        return f"Snapshots({str(self._given)!r})"

    @property
    def path(self) -> Path:
        """The directory as it was named; from the root of the file system once the process works in another one."""
        return self._given if self._given.absolute() == self._absolute else self._absolute

    def _repr_html_(self) -> str:
        from manyminima.reporting import notebook

        return notebook.snapshots(self)

    # -- writing: a fold ---------------------------------------------------------------------------------------------

    def begin(self, run: Mapping[str, Any]) -> None:
        """Claim the directory and write `run.json`; called once, before training."""
        self._lock, self._run, self._run_hash = claim(self.path, run, self._data)
        self._written, self._added, self._left_out, self._newest_step = [], set(), [], 0

    def _release(self) -> None:
        """Let others write to the directory, once all is written."""
        if self._lock is not None:
            self._lock.release()
        self._lock = self._behind = None

    def state(self) -> dict[str, Any]:
        """Return what an interrupted training needs to go on writing here: which run this is, and up to which step."""
        return {"run_id": self.run["run_id"], "step": self._newest_step}

    def take_up(self, run: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Go on writing to the run that is there, in place of `begin`; what came after `state` will be written again."""
        settle()
        self._lock = lock.take(self.path)
        self._run = None
        if self.run["run_id"] != state["run_id"]:
            raise ValueError(
                f"'{self.path}' holds another run than the one to go on with. Restore it, or choose another directory."
            )
        for left in temporaries(self.path):
            left.unlink(missing_ok=True)
        self._run_hash, self._newest_step = hash_file(self.path / "run.json"), int(state["step"])
        # The others stay as files, which count: each is replaced when its step comes again.
        self._written = [m for m in self.members if m.step <= self._newest_step]
        self._added = {m.file for m in self._written}
        self._left_out = [left for left in self.left_out if left["step"] <= self._newest_step]
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
        """Write one member: `weights` in the order of `model.weights`, collected after `step` batches of run `replica`.

        Raises:
            ValueError: a step that is no whole number or has been there, or other arrays than those of the first member.
            FileExistsError: another run has taken the directory.
            OSError: nothing can be written; what was before is complete.
        """
        arrays = arrays_of(weights, step, replica)
        if not self._run_hash:
            self.begin({"variables": [{"path": "", **shape_of(w)} for w in arrays]})
        file = member_file(int(step), int(replica))
        check_new(self.path / file, file in self._added, arrays, self.run.get("variables"))
        self._check_still_ours()
        member = Member(file, int(step), int(replica), epoch, kind, dict(logs or {}))
        self._added.add(file)
        self._newest_step = int(step)
        self._do(self._write, member, arrays)

    def leave_out(self, step: int, why: str) -> None:
        """Record that nothing was stored of what was collected after `step` batches, and why."""
        self._newest_step = int(step)
        self._do(self._note, {"step": int(step), "why": why}, [])

    def _note(self, left: dict[str, Any], _: Weights) -> None:
        self._left_out.append(left)
        self._write_index()

    def write_behind(self, behind: Behind) -> None:
        """Have members written by a thread from now on, while training goes on, until `behind` is closed."""
        self._behind = behind
        behind.at_end(self._release)

    def _do(self, write: Callable[[Any, Weights], None], about: Any, weights: Weights) -> None:
        if self._behind is None or self._behind.closed:
            return write(about, weights)
        # Copied, since torch hands out its own memory, in which training goes on.
        self._behind.submit((self, write.__name__), write, about, [np.array(w) for w in weights])

    def _write(self, member: Member, weights: Weights) -> None:
        with self._telling_of(member):
            self._written.append(write_member(self.path, self.run["run_id"], member, weights))
            self._write_index()

    def add_best(self, weights: Weights, step: int, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        """Replace the best single model, which is kept apart from the members."""
        member = Member(BEST, step=int(step), epoch=epoch, kind="best", logs=dict(logs or {}))
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
            self._added.discard(member.file)  # it may be tried again
            raise OSError(
                f"cannot write '{self.path / member.file}': {error}. What was written before is complete: "
                f"mm.load({str(self.path)!r}) gives it. Make room, or choose another directory, and train again."
            ) from error

    def _check_still_ours(self) -> None:
        if self._lock is None:
            self._lock = self._taken()
        elif not self._lock.held and os.path.lexists(self._lock.path):
            raise FileExistsError(
                f"another run has begun to write to '{self.path}'. Give each run a directory of its own."
            )

    def _taken(self) -> lock.Lock | None:
        try:
            return lock.take(self.path)
        except FileExistsError:
            raise
        except OSError:  # nothing can be written there any more: writing the member will say so
            return None

    def _write_index(self) -> None:
        write_index(self.path, self.run["run_id"], self._run_hash, self._written, self._left_out)

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def run(self) -> dict[str, Any]:
        """What `run.json` says: recipe, model, variables, task, data, versions."""
        if self._run is None:
            self._run = read_run(self.path)
        return self._run

    @property
    def members(self) -> list[Member]:
        """The members as the index knows them, oldest first; sorted by (step, replica), never by name or file time.

        A complete file that the index does not name yet, because the run died between the two writes, is counted.
        """
        settle()
        run_id = self.run["run_id"]
        members, _ = read_index(self.path, run_id)
        for file in sorted(member_files(self.path) - members.keys()):
            members[file] = read_member(self.path, run_id, file)[0]
        return sorted(members.values(), key=lambda m: (m.step, m.replica))

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """What was collected and not stored, because it was not finite: the step of each, and why."""
        settle()
        return read_index(self.path, self.run["run_id"])[1]

    def read(self, member: Member) -> list[np.ndarray]:
        """Return the weights of one of `members`, checked against their hash, or as `check` says."""
        stored = opened(self.path, self.run, member)
        arrays = stored.arrays()
        if self.check == "hashes":
            stored.check()
        check_identity(self.path, self.run, member, stored)
        return arrays

    def shapes(self, member: Member) -> list[tuple[int, ...]]:
        """Return the shapes of one member's arrays from its header; the arrays are not read."""
        stored = opened(self.path, self.run, member)
        check_identity(self.path, self.run, member, stored)
        return stored.shapes

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        for member in self.members:
            yield self.read(member)

    def __getitem__(self, index):
        """Return one member's weights, or for a slice a list of those of several."""
        found = self.members[index]
        return [self.read(member) for member in found] if isinstance(index, slice) else self.read(found)

    @property
    def best(self) -> tuple[Member, list[np.ndarray]]:
        """The best single model by the monitored log, with its weights; it is not one of the members."""
        settle()
        if not os.path.lexists(self.path / BEST):
            raise FileNotFoundError(f"'{self.path}' keeps no best model: collect with Collect(…, best=\"val_loss\").")
        return read_member(self.path, self.run["run_id"], BEST)

    def problems(self, *, each: Callable[[list[Member]], Iterable[Member]] = iter) -> list[str]:
        """Read every file, `each` telling how far that is, and say in a sentence what is wrong with it; [] if all is well."""
        found = []
        try:
            members = self.members
        except (ValueError, OSError) as error:
            return [str(error)]
        for member in each(members):
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
        more = {"left_out": self.left_out, "history": resume.history(self.path)}
        found = {name: value for name, value in more.items() if value}
        return {"path": str(self._given), **run, "members": [asdict(m) for m in self.members], **found}
