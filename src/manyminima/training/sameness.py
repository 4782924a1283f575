"""Whether a training is the one that a directory holds an interrupted part of."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manyminima.runs.format import json_text

__all__ = ["check_same"]

_WORDS = {
    "recipe": "the recipe",
    "epochs": "epochs",
    "steps_per_epoch": "steps in an epoch",
    "collect": "the steps after which it collects",
    "folds": "the places in into=",
    "callbacks": "the callbacks beside it that remember something",
    "optimizer": "the optimizer",
    "tasks": "the task",
    "data": "what is recorded of the data",
    "parameters": "parameters of the model",
    "kind": "where the batches come from",
    "batch_size": "rows in a batch",
    "seed": "the seed of the order",
    "rows": "training rows",
}


def check_same(path: Path, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the first difference, unless a run that was begun is that of the program that is to go on.

    Args:
        path: of the run.
        held: what was recorded when it began: the body of `run.json`, with "source", what is known of the data.
        wanted: the same of the present program.
    """
    held, wanted = _compared(held), _compared(wanted)
    for name in _ORDER:
        if held.get(name) != wanted.get(name):
            raise ValueError(
                f"'{path}' holds a run of another training: {_difference(name, held.get(name), wanted.get(name))}. "
                f"Go on with the program that began it, or choose another directory."
            )


_ORDER = (
    *("recipe", "epochs", "kind", "batch_size", "rows", "seed", "data", "sha256", "steps_per_epoch", "collect"),
    *("optimizer", "tasks", "parameters", "variables", "architecture", "folds", "callbacks"),
)


# What Keras counts up from object to object, and where an object lies in memory.
_COUNTED = r"_\d+\b|\"shared_object_id\": \d+"


def _compared(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be equal, as JSON gives it back."""
    plain = json.loads(json_text({**run, "source": run.get("source") or {}}))
    training = (plain.get("data") or {}).get("training")
    if isinstance(training, dict):
        training.pop("options", None)  # one training can be asked for in many ways
    model = plain.get("model") or {}
    optimizer = {k: v for k, v in (plain.get("optimizer") or {}).items() if k != "name"}
    variables = [[v["shape"], v["dtype"], v.get("trainable")] for v in plain.get("variables") or []]
    architecture = re.sub(_COUNTED, "", json.dumps(model.get("config"), sort_keys=True))
    own = {"optimizer": optimizer, "variables": variables, "architecture": architecture}
    return {**plain, **plain["source"], "parameters": model.get("parameters"), **own}


def _difference(name: str, there: Any, here: Any) -> str:
    if name == "sha256":
        return "other rows to train on"
    if name in ("variables", "architecture"):
        return "another model"
    return f"{_WORDS[name]}: {_shown(there)} there, {_shown(here)} here"


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:  # a recipe
        rest = ", ".join(f"{k}={v!r}" for k, v in value.items() if k != "name" and v is not None)
        return f"{value['name']}({rest})"
    text = str(value)
    return text if len(text) <= 200 else text[:200] + " …"
