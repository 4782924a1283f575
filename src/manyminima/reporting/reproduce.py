"""How to repeat a run: as a command, as a Python program, and as a file for the command line.

Bit for bit on the same backend, versions and kind of processor. What is put in is what a run's `run.json` says, which may come
from a stranger: nothing of it is run here, texts are quoted, and options that the command line cannot have written are none.
"""

import dataclasses
import json
import keyword
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from manyminima import recipes
from manyminima.reporting.templates import templates

__all__ = ["command", "experiment", "program"]

_NEEDED = {"data", "model", "recipe", "epochs"}
_LEFT_OUT_IF_FALSE = ("use_ema", "nesterov", "amsgrad")  # as Keras's own optimizers have them


def command(about: Mapping[str, Any]) -> str | None:
    """The line to type that trains a run once more, into a new directory; None if the command line did not train it.

    Args:
        about: what is known of the run, `Snapshots(path).about`.

    Example:
        >>> options = {"data": "digits", "model": "mlp", "recipe": "swa", "epochs": 60, "drop": ["a b"]}
        >>> command({"path": "runs/x", "data": {"training": {"options": options}}})
        "manyminima train --data digits --model mlp --recipe swa --epochs 60 --drop 'a b' --out runs/x-again"
    """
    options = _options(about)
    if options is None:
        return None
    words = ["manyminima", "train"]
    for name, value in [*options.items(), ("out", _again(about))]:
        for one in value if isinstance(value, list) else [value]:
            words += [_flag(name)] if one is True else [_flag(name), str(one)]
    backend = _backend(about)
    return (f"KERAS_BACKEND={backend} " if backend else "") + shlex.join(words)


def program(about: Mapping[str, Any]) -> str:
    """The Python program that trains a run once more, into a new directory.

    A run of the command line is repeated in full. Of others the recipe, `Collect` and the optimizer are known; comments say
    what only the program that made the run has.

    Args:
        about: what is known of the run, `Snapshots(path).about`.

    Example:
        >>> about = {"path": "runs/x", "recipe": {"name": "snapshot", "cycles": 5, "peak": 0.1}, "epochs": 60}
        >>> [line for line in program(about).splitlines() if line.startswith("recipe")]
        ['recipe = mm.recipes.snapshot(cycles=5, peak=0.1)']
    """
    options = _options(about)
    template = "sketch.py.j2" if options is None else "program.py.j2"
    known = {
        "about": about,
        "path": str(about.get("path") or "a run"),
        "again": _again(about),
        "backend": _backend(about),
        "recipe": _recipe(about.get("recipe") or {}),
        "optimizer": _optimizer(about.get("optimizer") or {}),
    }
    if options is not None:
        known |= {"options": options, "regime": _regime(about), "regression": about.get("task") == "regression"}
        known["table"] = "table" in about["data"]
    environment = templates(keep_trailing_newline=True)
    environment.filters["py"] = _literal
    return environment.get_template(template).render(known)


def experiment(about: Mapping[str, Any]) -> str | None:
    """The TOML file that trains a run once more, by `manyminima train FILE`; None if the command line did not train it.

    Args:
        about: what is known of the run, `Snapshots(path).about`.

    Example:
        >>> options = {"data": "digits", "model": "mlp", "recipe": "snapshot", "epochs": 60, "cycles": 5}
        >>> recipe = {"name": "snapshot", "cycles": 5, "peak": None}
        >>> print(experiment({"path": "runs/x", "recipe": recipe, "data": {"training": {"options": options}}}))
        data = "digits"
        model = "mlp"
        epochs = 60
        out = "runs/x-again"
        <BLANKLINE>
        [recipe]
        name = "snapshot"
        cycles = 5
        <BLANKLINE>
    """
    options = _options(about)
    if options is None:
        return None
    recipe = about.get("recipe") or {}
    of_recipe = {name: value for name, value in options.items() if name in recipe and name != "name"}
    rest = {name: value for name, value in options.items() if name not in of_recipe and name != "recipe"}
    backend = _backend(about)
    lines = [f"# Trained on {backend}. Relative paths begin at this file's folder."] if backend else []
    lines += [_line(name, value) for name, value in (rest | {"out": _again(about)}).items()]
    lines += ["", "[recipe]", _line("name", options["recipe"])]
    return "\n".join([*lines, *(_line(name, value) for name, value in of_recipe.items())]) + "\n"


def _options(about: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was asked for on the command line, by option; None if that did not make the run."""
    found: Any = about
    for name in ("data", "training", "options"):
        found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or not found.keys() >= _NEEDED:
        return None
    return dict(found) if all(_is_name(name) and _is_plain(value) for name, value in found.items()) else None


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isascii() and name.isidentifier() and not keyword.iskeyword(name)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) and one.isprintable() for one in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) or (isinstance(value, str) and value.isprintable())


def _regime(about: Mapping[str, Any]) -> dict[str, Any]:
    """How the network was trained, as the command line records it."""
    usual = {"batch_size": 32, "weight_decay": 0.0, "augment": "none", "cutout": 0, "label_smoothing": 0.0}
    return usual | {name: value for name, value in about["data"]["training"].items() if name in usual}


def _again(about: Mapping[str, Any]) -> str:
    path = Path(str(about.get("path") or "runs/run"))
    return str(path.with_name(f"{path.name}-again")) if path.name else f"{path}/again"


def _backend(about: Mapping[str, Any]) -> str | None:
    backend = (about.get("versions") or {}).get("backend")
    return backend if backend in ("jax", "torch", "tensorflow") else None


def _recipe(recorded: Mapping[str, Any]) -> str:
    """The call that makes a recipe, without what it has by itself."""
    name = recorded.get("name")
    values = {key: value for key, value in recorded.items() if key != "name"}
    if name not in recipes.__all__:
        return f"{name}({_arguments(values)})  # your own" if _is_name(name) else "...  # your own"
    usual = {field.name: field.default for field in dataclasses.fields(getattr(recipes, name))}
    return f"mm.recipes.{name}({_arguments({k: v for k, v in values.items() if k not in usual or usual[k] != v})})"


def _optimizer(recorded: Mapping[str, Any]) -> str:
    values = {key: value for key, value in recorded.items() if key not in ("class", "name")}
    dropped = {name for name in _LEFT_OUT_IF_FALSE if values.get(name) is False}
    dropped |= {"ema_momentum"} if "use_ema" in dropped else set()
    if isinstance(rate := values.get("learning_rate"), float):
        values["learning_rate"] = float(str(np.float32(rate)))  # Keras holds single precision: 0.009999999776482582
    name, arguments = recorded.get("class"), _arguments({k: v for k, v in values.items() if k not in dropped})
    return f"keras.optimizers.{name}({arguments})" if _is_name(name) else "..."


def _arguments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_literal(value)}" for name, value in values.items() if _is_name(name))


def _literal(value: Any) -> str:
    """A value as Python writes it, texts in double quotes where they have none inside."""
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and text[0] == "'" and '"' not in text else text


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _line(name: str, value: Any) -> str:
    return f"{name.replace('_', '-')} = {json.dumps(value, ensure_ascii=False)}"
