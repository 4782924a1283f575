"""What to type after a study: the command that trains its winner."""

import shlex
from collections.abc import Mapping
from typing import Any

from manyminima.cli.recipe_docs import flag
from manyminima.comparison.methods import DEEP, method_of
from manyminima.comparison.results import Row

__all__ = ["command_of"]


def command_of(row: Row, options: Mapping[str, Any]) -> str:
    """Return the command that trains a method with the peak that was chosen for it; of a deep ensemble, what Python has.

    Args:
        row: the method.
        options: of the study, by the names that `manyminima train` has for them; None and empty ones are left out.

    Example:
        >>> command_of(Row("swa", 0.1, 60, 1, {}, {}), {"data": "blobs", "model": "mlp"})
        'manyminima train --data blobs --model mlp --recipe swa --peak 0.1 --epochs 60'
    """
    method = method_of(row.name)
    if method.kind == DEEP:
        return row.recipe
    options = {**options, **_recipe(method.kind, method.options, row.peak), "epochs": row.epochs}
    words = ["manyminima", "train"]
    for name, value in options.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [] if one is None else [flag(name), f"{one:g}" if isinstance(one, float) else str(one)]
    return shlex.join(words)


def _recipe(kind: str, options: Mapping[str, Any], peak: float) -> dict[str, Any]:
    from manyminima.cli.recipe_docs import fields

    if kind == "single":
        return {"recipe": "snapshot", "cycles": 1, "peak": peak}
    if kind == "constant":
        return {"recipe": "checkpoints", "last": 1, "rate": peak}
    own = "peak" if "peak" in fields(kind) else "rate"
    return {"recipe": kind, **options, own: peak}
