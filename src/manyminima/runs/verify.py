"""Every file of a run looked at, and what is wrong with each in one sentence. No Keras.

from manyminima.runs.verify import inspect

for problem in inspect("runs/x").problems:
    print(problem)
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from manyminima.runs import lock, resume
from manyminima.runs.behind import settle
from manyminima.runs.descriptions import Index, how_to_rebuild, read_run
from manyminima.runs.format import BEST, MEMBER_NAME, Member, temporaries
from manyminima.runs.known import Known, known_of
from manyminima.runs.problems import Inspection, Problem, kind_of
from manyminima.runs.streaming import MemberFile, declared_size
from manyminima.runs.strict import check_folder, check_plain

__all__ = ["Inspection", "Problem", "inspect"]


def inspect(path: str | os.PathLike, *, each: Callable[[list], Iterable] = iter) -> Inspection:
    """Read every byte of a run, and say what is wrong with which file.

    Args:
        path: the run's directory. Nothing in it is changed, and it may be written to meanwhile.
        each: goes through a list, and tells how far that is.

    Raises:
        FileNotFoundError: no run is there.
    """
    settle()
    folder = Path(path)
    if not any(os.path.lexists(folder / name) for name in ("run.json", "index.json", "members")):
        read_run(folder)  # which says that no run is there
    files = {name: _opened(folder / name) for name in _names(folder)}
    known = known_of(folder, files)
    judged = [_judge(_Place(folder, name, known), file, files) for name, file in each([*files.items()])]
    members = [found for found in judged if isinstance(found, Member)]
    problems = [*known.problems, *(found for found in judged if isinstance(found, Problem))]
    problems += [*_missing(folder, known.members, files), *_unlike_index(folder, known, members), *_state(folder)]
    unnamed = [m.file for m in members if known.members is not None and m.file not in (*known.members, BEST)]
    ordered = sorted((m for m in members if m.file != BEST), key=lambda m: (m.step, m.replica))
    notes = tuple(_notes(folder, unnamed))
    return Inspection(str(folder), known.run_id, tuple(ordered), tuple(problems), notes)


# -- members ---------------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """A file of a run, and what is known of the run."""

    folder: Path
    name: str
    run: Known

    @property
    def path(self) -> Path:
        return self.folder / self.name

    @property
    def size(self) -> int:
        """How many bytes the file should have."""
        known = (self.run.members or {}).get(self.name)
        return known.bytes if known else declared_size(self.path)

    def problem(self, kind: str, text: object) -> Problem:
        return Problem(self.name, kind, str(text))


def _names(folder: Path) -> list[str]:
    names = [BEST] if os.path.lexists(folder / BEST) else []
    try:
        check_folder(folder / "members")
    except (ValueError, OSError):
        return names
    found = sorted(os.listdir(folder / "members"))
    return [*(f"members/{name}" for name in found if not name.startswith(".")), *names]


def _opened(path: Path) -> MemberFile | Exception:
    try:
        return MemberFile(path)
    except (ValueError, OSError) as error:
        return error


def _judge(place: _Place, file: MemberFile | Exception, files: dict[str, MemberFile | Exception]) -> Member | Problem:
    """Return the member that a file holds, or what is wrong with it."""
    path, run_id = place.path, place.run.run_id
    if isinstance(file, Exception):
        if place.name == BEST or MEMBER_NAME.fullmatch(path.name):
            return place.problem(kind_of(path, place.size), file)
        return place.problem("extra", f"'{path}' is no member of a run. Move it out of the run.")
    if error := _unread(file):
        return place.problem(kind_of(path, place.size), error)
    if file.about["run_id"] != run_id:
        ids = f"run {file.about['run_id'][:8]}, but this directory holds run {run_id[:8]}"
        return place.problem("foreign", f"'{path}' belongs to {ids}. Move it back.")
    if file.place != place.name:
        return _misplaced(place, file, files.get(file.place))
    if place.run.shapes and file.shapes != place.run.shapes:
        return place.problem("altered", f"'{path}' holds other arrays than run.json tells of. Restore it from a copy.")
    return file.identity(place.name, run_id)


def _unread(file: MemberFile) -> Exception | None:
    """Read a file to its end, and return what is wrong with it."""
    try:
        file.arrays()
        file.check()
    except (ValueError, OSError) as error:
        return error
    return None


def _misplaced(place: _Place, file: MemberFile, rightful: MemberFile | Exception | None) -> Problem:
    if isinstance(rightful, MemberFile) and rightful.hash == file.hash:
        return place.problem("duplicate", f"'{place.path}' is a copy of '{file.place}'. Delete it.")
    text = f"'{place.path}' was renamed: by its header it is '{file.place}'. Give it that name back."
    return place.problem("renamed", text)


def _unlike_index(folder: Path, run: Known, members: list[Member]) -> Iterator[Problem]:
    """Yield what the index says otherwise than the members' files, which agree with themselves."""
    if any(problem.file == "index.json" for problem in run.problems):
        return  # it is told already, and cannot be held against a member
    known = run.members or {}
    others = [m for m in members if known.get(m.file, m) != m]
    for member in others:
        if known[member.file].hash != member.hash:
            text = "is not the file that the run wrote: its hash differs from the index. Restore it from a copy."
            yield Problem(member.file, "altered", f"'{folder / member.file}' {text}")
    if any(known[m.file].hash == m.hash for m in others):
        text = f"is damaged: it says of members what their files do not say. {how_to_rebuild(folder)}"
        yield Problem("index.json", "altered", f"'{folder / 'index.json'}' {text}")


def _missing(folder: Path, index: Index | None, files: dict[str, MemberFile | Exception]) -> Iterator[Problem]:
    place = folder / "members"
    try:
        check_folder(place)
    except (ValueError, OSError) as error:
        kind = kind_of(place)
        yield Problem(
            "members", kind, f"'{place}' is missing. Restore it from a copy." if kind == "missing" else str(error)
        )
        return
    renamed = {file.place for file in files.values() if isinstance(file, MemberFile)}
    for name in sorted((index or {}).keys() - files.keys() - renamed):
        if os.path.lexists(folder / name):  # a run that is being written has just got it
            continue
        text = f"'{folder / name}' is missing: the run's index names it. Restore the file from a copy."
        yield Problem(name, "missing", text)


def _state(folder: Path) -> Iterator[Problem]:
    """Yield what is wrong with the state that an interrupted training goes on from."""
    path = folder / "resume" / "state.safetensors"
    try:
        if os.path.lexists(path):
            check_folder(path.parent)
            check_plain(path)
            resume.read(folder)
    except (ValueError, OSError, AttributeError, RecursionError) as error:
        yield Problem("resume/state.safetensors", kind_of(path, declared_size(path)), str(error))


# -- no damage -------------------------------------------------------------------------------------------------------


def _notes(folder: Path, unnamed: list[str]) -> Iterator[str]:
    writer = lock.holder(folder)
    if writer is not None and writer.runs:
        yield f"'{folder}' is being written by {writer}."
    elif writer is not None:
        yield f"'{folder / lock.NAME}' was left by {writer}. If that has ended, the next training takes it over."
    for name in unnamed:
        yield f"'{folder / name}' is complete, and the index does not name it yet; loading counts it."
    for path in temporaries(folder):
        yield f"'{path}' is what a process that was killed has left of a file. Nobody reads it: delete it."
