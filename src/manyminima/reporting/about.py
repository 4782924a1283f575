"""What was run, in words: the facts that a run tells about itself."""

from collections.abc import Mapping, Sequence
from typing import Any


def lines(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was run, as pairs of a name and a text; what is not known is left out.

    >>> lines({"recipe": {"name": "snapshot", "cycles": 5}, "epochs": 30, "steps_per_epoch": 39})
    [('recipe', 'snapshot(cycles=5)'), ('length', '30 epochs of 39 steps')]
    """
    facts = {
        "run": _joined(known.get("path"), known.get("run_id")),
        "created": known.get("created"),
        "recipe": _call(known.get("recipe")),
        "length": _length(known.get("epochs"), known.get("steps_per_epoch")),
        "collected": _collected(known.get("collect")),
        "not stored": _left_out(known.get("left_out")),
        "model": _model(known.get("model")),
        "training": _training(known),
        "data": _data(known.get("data")),
        "versions": _pairs(known.get("versions")),
    }
    return [(name, str(text)) for name, text in facts.items() if text]


def versions(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the run was made with, as pairs of a name and a version.

    >>> versions({"versions": {"keras": "3.15.0", "backend": "jax"}})
    [('keras', '3.15.0'), ('backend', 'jax')]
    """
    return [(str(name), str(value)) for name, value in (known.get("versions") or {}).items() if value is not None]


def _call(recipe: Mapping[str, Any] | None) -> str:
    if not recipe:
        return ""
    arguments = ", ".join(f"{name}={value!r}" for name, value in recipe.items() if name != "name" and value is not None)
    return f"{recipe.get('name', 'recipe')}({arguments})"


def _length(epochs: int | None, steps: int | None) -> str:
    return " of ".join(f"{n:,} {word}" for n, word in ((epochs, "epochs"), (steps, "steps")) if n is not None)


def _collected(steps: Sequence[int] | None) -> str:
    if not steps:
        return ""
    shown = [*steps[:8], "…", steps[-1]] if len(steps) > 10 else steps
    return f"{len(steps)} members, after steps " + ", ".join(map(str, shown))


def _left_out(steps: Sequence[Mapping[str, Any]] | None) -> str:
    """What was due and came to nothing, since the training had diverged."""
    return "; ".join(f"after step {left['step']}, {left['why']}" for left in steps or ())


def _model(model: Mapping[str, Any] | None) -> str:
    if not model:
        return ""
    parameters = model.get("parameters")
    return _joined(model.get("name"), None if parameters is None else f"{parameters:,} parameters")


def _training(known: Mapping[str, Any]) -> str:
    """The optimizer, and what the command line records of how it trained; what is off is left out."""
    optimizer, data = known.get("optimizer") or {}, known.get("data")
    driven = {"learning_rate"} if known.get("lr_curve") else set()
    if not optimizer.get("use_ema"):
        driven = {*driven, "use_ema", "ema_momentum"}
    values = {name: value for name, value in optimizer.items() if name not in {"class", "name", *driven}}
    arguments = ", ".join(f"{name}={_rounded(value)!r}" for name, value in values.items() if value)
    regime = data.get("training") if isinstance(data, Mapping) else None
    told = {name: value for name, value in regime.items() if name != "optimizer"} if isinstance(regime, Mapping) else {}
    plain = {n: v for n, v in told.items() if v and v != "none" and isinstance(v, str | int | float)}
    return _joined(f"{optimizer['class']}({arguments})" if optimizer.get("class") else None, _pairs(plain) or None)


def _rounded(value: Any) -> Any:
    """A number without the digits that single precision adds: 0.01 for 0.009999999776482582."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _data(data: Mapping[str, Any] | None) -> str:
    """What the command line records of its data; whatever else a user has recorded is listed as it is."""
    if not data or not _are_counts(data.get("rows")):
        return _pairs(data)
    rows = ", ".join(f"{n:,} {part}" for part, n in data["rows"].items())
    classes = f"{len(data['classes'])} classes" if data.get("classes") and hasattr(data["classes"], "__len__") else None
    return _joined(f"{data.get('source', 'unnamed')}: {rows} rows", classes, data.get("split"))


def _are_counts(rows: Any) -> bool:
    return isinstance(rows, Mapping) and all(isinstance(n, int) for n in rows.values())


def _pairs(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (values or {}).items() if value is not None)


def _joined(*parts: Any) -> str:
    return ", ".join(str(part) for part in parts if part is not None)
