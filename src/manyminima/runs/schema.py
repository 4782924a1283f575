"""What run.json and index.json may say: every entry has its kind, checked before anything is done with it. No Keras."""

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from manyminima.arrays import TASKS

__all__ = ["check_left_out", "check_member", "check_run"]

_LARGEST = 2**48  # of a count or a length: none that a computer can hold is larger
_RUN_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_NO_NUMBERS = ("nan", "inf", "-inf")  # as text, since strict JSON cannot hold them

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _number(value: Any) -> bool:
    return type(value) in (int, float) or value in _NO_NUMBERS


def _yes_or_no(value: Any) -> bool:
    return isinstance(value, bool)


def _anything(value: Any) -> bool:
    return True


def _none_or(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _named(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _entries(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    """Return a check of a dict that has all required entries; entries that are not named here may be anything."""
    kinds = {**(optional or {}), **required}

    def check(value: Any) -> bool:
        if not isinstance(value, dict) or not required.keys() <= value.keys():
            return False
        return all(kinds[name](value[name]) for name in value.keys() & kinds.keys())

    return check


def _curve(value: Any) -> bool:
    pairs = _entries({"steps": _list_of(_whole), "rates": _list_of(_number)})
    return pairs(value) and len(value["steps"]) == len(value["rates"])


def _loggable(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _number(value)


def _task(value: Any) -> bool:
    entries = _entries({"kind": lambda kind: kind in TASKS}, {"from_logits": _yes_or_no})
    return entries(value) and value.keys() <= {"kind", "from_logits"}


_VARIABLE = _entries(
    {"shape": lambda value: _list_of(_whole)(value) and len(value) <= 32, "dtype": _text},
    {"path": _text, "trainable": _yes_or_no, "averaged": _yes_or_no},
)

_RUN: dict[str, tuple[Check, str]] = {
    "run_id": (lambda value: _text(value) and bool(_RUN_ID.fullmatch(value)), "at most 64 letters and digits"),
    "created": (_text, "a time"),
    "recipe": (_entries({}, {"name": _text}), "a name and arguments"),
    "epochs": (_none_or(_whole), "a whole number"),
    "steps_per_epoch": (_none_or(_whole), "a whole number"),
    "collect": (_none_or(_list_of(_whole)), "a list of steps"),
    "lr_curve": (_none_or(_curve), "steps and rates, equally many"),
    "optimizer": (_none_or(_named(_anything)), "names and values"),
    "variables": (_list_of(_VARIABLE), "a list of shapes and types"),
    "versions": (_named(_none_or(_text)), "names and texts"),
    "tasks": (_none_or(_named(_none_or(_task))), f"one of {', '.join(TASKS)} for each output"),
    "model": (
        _none_or(_entries({}, {"name": _text, "parameters": _whole, "config": _named(_anything)})),
        "a name, a number of parameters and a config",
    ),
    "replicas": (_list_of(_named(_anything)), "a list of entries"),
    "data": (_none_or(_named(_anything)), "names and values"),
}

_MEMBER: dict[str, tuple[Check, str]] = {
    "file": (_text, "a path"),
    "step": (_whole, "a whole number"),
    "replica": (_whole, "a whole number"),
    "epoch": (_none_or(lambda value: type(value) in (int, float)), "a number"),
    "kind": (_text, "a text"),
    "logs": (_named(_loggable), "names and numbers"),
    "bytes": (_whole, "a whole number"),
    "hash": (lambda value: _text(value) and bool(_HASH.fullmatch(value)), "a SHA-256"),
}


def check_run(run: dict[str, Any]) -> None:
    """Raise ValueError if an entry of `run.json` is not of its kind; entries that are not known may be anything."""
    _check(run, _RUN)


def check_member(entry: Any, member: type, *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what is said of one member, which must be all that is known of members, and nothing else.

    Args:
        entry: names and values.
        member: the dataclass that they are for.
        but: fields that are not said here.

    Raises:
        ValueError: an entry is missing, too much, or not of its kind.
    """
    names = {field.name for field in fields(member)} - {*but}
    if not isinstance(entry, dict) or entry.keys() != names:
        said = ", ".join(map(str, entry)) if isinstance(entry, dict) else repr(entry)
        raise ValueError(f"of a member it says {said[:200]}, and expected are {', '.join(sorted(names))}")
    _check(entry, _MEMBER)
    return entry


def check_left_out(entries: Any) -> list[dict[str, Any]]:
    """Return what the index says was not stored, and why; ValueError if it does not say that."""
    if not _list_of(_entries({"step": _whole, "why": _text}))(entries):
        raise ValueError(f"'left_out' is {entries!r:.60}, expected steps and reasons")
    return entries


def _check(data: dict[str, Any], kinds: dict[str, tuple[Check, str]]) -> None:
    for name, (check, expected) in kinds.items():
        if name in data and not check(data[name]):
            raise ValueError(f"'{name}' is {data[name]!r:.60}, expected {expected}")
