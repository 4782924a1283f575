"""What a run says of itself: its description, its index, and which files it has. What is read is checked. No Keras."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from manyminima.runs.format import FORMAT, MEMBER_NAME, Member, hash_file, member_file, read_json, write_text
from manyminima.runs.schema import check_left_out, check_member, check_run
from manyminima.runs.strict import check_folder

__all__ = [
    "Index",
    "check_own_hash",
    "how_to_rebuild",
    "member_files",
    "read_index",
    "read_members",
    "read_run",
    "write_index",
]

Index = dict[str, Member]
_MOST = 1_000_000  # members: no run has so many, and a folder of more is no run


def read_run(folder: Path) -> dict[str, Any]:
    """Return what `run.json` says.

    Raises:
        FileNotFoundError: there is none, so this is no run.
        ValueError: it is damaged, or of another format.
    """
    path = folder / "run.json"
    try:
        run = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"'{folder}' holds no run: there is no run.json in it. Expected a directory that "
            f'Collect(recipe, into="{folder}") or `manyminima train` has written.'
        ) from None
    try:
        check_run(run)
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged: {error}. Restore it from a copy.") from error
    return run


def read_index(folder: Path, run_id: str) -> tuple[Index, list[dict[str, Any]]]:
    """Return the members that the index names, by their files, and what was left out of them; nothing if there is no index.

    Raises:
        ValueError: the index is damaged or of another run, or `run.json` is not what the index was written for.
    """
    path = folder / "index.json"
    try:
        index = read_json(path)
    except FileNotFoundError:  # the members' files tell all by themselves
        return {}, []
    if index["run_id"] != run_id:
        raise ValueError(f"'{path}' belongs to another run than run.json. Restore the right one.")
    try:
        members = read_members(index), check_left_out(index.get("left_out", []))
        check_own_hash(index)
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged ({error}). {how_to_rebuild(folder)}") from error
    if index.get("run_hash") != hash_file(folder / "run.json"):
        raise ValueError(f"'{folder / 'run.json'}' is damaged: it is not what the run wrote. Restore it from a copy.")
    return members


def check_own_hash(index: dict[str, Any]) -> None:
    """Raise ValueError if an index is not as it was written; without this, one could not tell it from a changed run.json."""
    if "hash" in index and index["hash"] != _own_hash(index):
        raise ValueError("its content does not match its SHA-256")


def _own_hash(index: dict[str, Any]) -> str:
    said = {k: v for k, v in index.items() if k != "hash"}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r:.60} is nothing that an index can hold")


def write_index(
    folder: Path, run_id: str, run_hash: str, members: Iterable[Member], left_out: list[dict[str, Any]] | None = None
) -> None:
    """Replace the index: the members that are on disk, and what was not stored of what was collected."""
    index: dict[str, Any] = {"format": FORMAT, "run_id": run_id, "run_hash": run_hash}
    index |= {"left_out": left_out} if left_out else {}
    index["members"] = [vars(member) for member in members]
    write_text(folder / "index.json", _text({**index, "hash": _own_hash(index)}))


def _text(index: dict[str, Any]) -> str:
    """Return JSON with a line for each member: written anew with every member, it has to be made quickly."""
    lines = [f'"{name}": {json.dumps(value, default=_plain)}' for name, value in index.items() if name != "members"]
    members = ",\n  ".join(json.dumps(member, default=_plain) for member in index["members"])
    return "{" + ",\n ".join([*lines, f'"members": [\n  {members}\n ]']) + "}\n"


def how_to_rebuild(folder: Path) -> str:
    """Return what to do about a damaged index."""
    return (
        f"Delete it: the members' files tell all it holds. `manyminima verify {folder} --rebuild-index` writes it anew."
    )


def read_members(index: dict[str, Any]) -> Index:
    """Return the members that an index names, by their files; ValueError says what is wrong with it."""
    entries = index.get("members")
    if not isinstance(entries, list) or len(entries) > _MOST:
        raise ValueError("it has no list of members")
    found: Index = {}
    for entry in entries:
        member = Member(**check_member(entry, Member))
        if not MEMBER_NAME.fullmatch(member.file.removeprefix("members/")):
            raise ValueError(f"it names '{member.file[:80]}', which no member is called")
        if member.file != member_file(member.step, member.replica):
            raise ValueError(f"it names '{member.file}' for step {member.step} of replica {member.replica}")
        if member.file in found:
            raise ValueError(f"it names '{member.file}' twice")
        found[member.file] = member
    return found


def member_files(folder: Path) -> set[str]:
    """Return the paths of the members' files within a run; what begins with a dot is none.

    Raises:
        FileNotFoundError: the folder for them is missing.
        ValueError: a file is called as no member is.
    """
    place = folder / "members"
    try:
        check_folder(place)
        names = [path.name for path in place.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        raise FileNotFoundError(f"'{place}' is missing. Restore it from a copy.") from None
    if len(names) > _MOST:
        raise ValueError(f"'{place}' holds {len(names):,} files, and no run has more than {_MOST:,} members.")
    for name in names:
        if not MEMBER_NAME.fullmatch(name):
            raise ValueError(
                f"'{place / name}' is not a member of this run: members are called like {member_file(800)}. "
                f"Move it out of the run."
            )
    return {f"members/{name}" for name in names}
