"""What `run.json` and `index.json` say of a run that may be damaged, and what is wrong with them. No Keras."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from manyminima.runs.descriptions import Index, check_own_hash, how_to_rebuild, read_members, read_run
from manyminima.runs.format import hash_file, read_json
from manyminima.runs.problems import Problem, kind_of
from manyminima.runs.streaming import MemberFile

__all__ = ["Known", "known_of"]


class Known(NamedTuple):
    """What the descriptions say: which run this is, its arrays, what its index names, and what is wrong with them."""

    run_id: str
    shapes: list[tuple[int, ...]]
    members: Index | None
    problems: list[Problem]


def known_of(folder: Path, files: dict[str, MemberFile | Exception]) -> Known:
    """Return what the descriptions say; where they cannot be read, members tell of which run they are."""
    problems, run, index = [], {}, None
    try:
        run = read_run(folder)
    except (ValueError, OSError) as error:
        problems.append(Problem("run.json", kind_of(folder / "run.json"), str(error)))
    try:
        index = read_json(folder / "index.json")
    except FileNotFoundError:
        if files:
            text = f"'{folder / 'index.json'}' is missing: `manyminima verify {folder} --rebuild-index` writes it anew."
            problems.append(Problem("index.json", "missing", text))
    except (ValueError, OSError) as error:
        problems.append(Problem("index.json", kind_of(folder / "index.json"), f"{error} {how_to_rebuild(folder)}"))
    ids = Counter(file.about["run_id"] for file in files.values() if isinstance(file, MemberFile))
    others = [index["run_id"] if index else "", ids.most_common(1)[0][0] if ids else ""]
    if run and others[0] and others[0] == others[1] != run["run_id"]:
        text = (
            f"'{folder / 'run.json'}' is of run {run['run_id'][:8]}, and the index and the members of {others[0][:8]}."
        )
        problems.append(Problem("run.json", "foreign", f"{text} Restore the right one."))
        run = {}
    shapes = [tuple(v["shape"]) for v in run.get("variables", [])]
    known = Known(next(filter(None, [run.get("run_id"), *others]), ""), shapes, None, problems)
    return known if index is None else _indexed(folder, index, known)


def _indexed(folder: Path, index: dict[str, Any], known: Known) -> Known:
    path = folder / "index.json"
    if index["run_id"] != known.run_id:
        text = (
            f"'{path}' belongs to run {index['run_id'][:8]}, and run.json to {known.run_id[:8]}. Restore the right one."
        )
        return known._replace(problems=[*known.problems, Problem("index.json", "foreign", text)])
    try:
        known = known._replace(members=read_members(index))
        check_own_hash(index)
    except ValueError as error:
        text = f"'{path}' is damaged ({error}). {how_to_rebuild(folder)}"
        return known._replace(problems=[*known.problems, Problem("index.json", "altered", text)])
    if not known.problems and index.get("run_hash") != hash_file(folder / "run.json"):
        text = f"'{folder / 'run.json'}' is damaged: it is not what the run wrote. Restore it from a copy."
        known = known._replace(problems=[Problem("run.json", "altered", text)])
    return known
