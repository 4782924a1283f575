"""What a report is given, put in order: one output, what was run, and what the members are called."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from manyminima.arrays import TASKS, Task
from manyminima.combination import Combination

__all__ = ["about", "array_of", "averages", "classes", "labels", "one_output", "task", "validation"]


def one_output(y: Any, probs: Any, output: str | None) -> tuple[ArrayLike, ArrayLike]:
    """Labels and predictions of one output, where there may be several."""
    if not isinstance(probs, Mapping):
        if output is not None:
            raise ValueError(f"output={output!r} was given, but probs is a single array. Leave output out.")
        return y, probs
    names = ", ".join(map(repr, probs))
    if output is None and len(probs) == 1:
        output = next(iter(probs))
    if output not in probs:
        given = "no output was chosen" if output is None else f"not {output!r}"
        raise ValueError(f"probs holds the outputs {names}; {given}. Pass output={next(iter(probs))!r}, for example.")
    if isinstance(y, Mapping) and output not in y:
        raise ValueError(f"y holds {', '.join(map(repr, y))}, but not {output!r}. Pass labels for the outputs {names}.")
    return (y[output] if isinstance(y, Mapping) else y), probs[output]


def about(run: Any) -> dict[str, Any]:
    """What was run, as a dict of JSON data."""
    found = {} if run is None else getattr(run, "about", run)
    if not isinstance(found, Mapping):
        raise ValueError(
            f"run is a {type(run).__name__}, expected a dict or something with an attribute `about`, or None."
        )
    return dict(found)


def combination(given: Any, run: Any) -> Combination | None:
    """The combination to be shown: the one given, or else that of the run, if it has one."""
    found = getattr(run, "combination", None) if given is None else given
    if found is not None and not isinstance(found, Combination):
        raise TypeError(
            f"combination is {found!r}, expected what mm.Combination.fit(y_val, probs_val) returns: it has to be fitted on rows "
            "that are not reported on."
        )
    return found


def validation(given: Any, output: str | None) -> tuple[ArrayLike, ArrayLike] | None:
    """Labels and predictions of the validation rows, of one output."""
    if given is None:
        return None
    if not isinstance(given, tuple | list) or len(given) != 2:
        size = f" of {len(given)}" if isinstance(given, tuple | list) else ""
        raise ValueError(
            f"validation is a {type(given).__name__}{size}, expected (y_val, probs_val): the labels of rows that are neither "
            "trained on nor reported on, and the same members' predictions of them."
        )
    y, probs = given
    return one_output(y, probs, output if isinstance(probs, Mapping) else None)


def array_of(x: Any, examples: int) -> np.ndarray | None:
    """The inputs as one array with a row for each example; None where there is none, or several inputs to an example."""
    if x is None or isinstance(x, Mapping) or (isinstance(x, tuple | list) and len(x) != examples):
        return None
    inputs = np.asarray(x)
    if inputs.ndim == 0:
        return None
    if len(inputs) != examples:
        raise ValueError(
            f"x has {len(inputs)} inputs, but there are {examples} examples. Pass the inputs of these rows."
        )
    return inputs


def classes(about: Mapping[str, Any]) -> list[Any]:
    """The names of the classes, as far as they are known."""
    data = about.get("data")
    return list((data.get("classes") if isinstance(data, Mapping) else None) or [])


def task(known: Any, output: str | None) -> Task | None:
    """The task that a run recorded for this output, if it is one."""
    found = known.get(output) if isinstance(known, Mapping) else known
    return found if found in TASKS else None


def averages(averages: Any, count: int) -> dict[str, Any] | None:
    """The scores of averages as plain data, checked to be of so many members."""
    if averages is None:
        return None
    if not is_dataclass(type(averages)) or not hasattr(averages, "single"):
        raise TypeError(
            f"averages is a {type(averages).__name__}, expected what ensemble.average_scores(x, y) returns."
        )
    found = asdict(averages)
    given = {len(single) for single in found["single"].values()}
    if given != {count}:
        raise ValueError(
            f"averages has scores of {', '.join(map(str, given))} members, but probs has {count}. Pass what average_scores "
            "of the same ensemble returned, or no averages."
        )
    return found


def labels(members: Any, count: int) -> tuple[str, ...]:
    """What the members are called, in tables and sentences."""
    if members is not None and not isinstance(members, Sequence):
        raise ValueError(f"run says {members!r} of its members, expected a list with a dict for each.")
    if not members:
        return tuple(f"member {n}" for n in range(1, count + 1))
    if len(members) != count:
        raise ValueError(
            f"run lists {len(members)} members, but probs has {count}. Pass the run that these predictions come from, "
            "sliced as they are, or no run."
        )
    replicas = len({member.get("replica", 0) for member in members}) > 1
    return tuple(_label(member, n, replicas) for n, member in enumerate(members, start=1))


def _label(member: Mapping[str, Any], n: int, replicas: bool) -> str:
    label = f"step {member['step']}" if "step" in member else f"member {n}"
    return f"replica {member.get('replica', 0)}, {label}" if replicas else label
