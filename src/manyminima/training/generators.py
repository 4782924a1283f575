"""The random generators that a whole process shares: Python's, NumPy's and torch's, from which data and layers may draw."""

import random
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["put_back", "states"]


def states() -> dict[str, Any]:
    """Return the states of all these generators, as plain data."""
    version, numbers, gauss = random.getstate()
    found = {"python": [version, np.array(numbers, "int64"), gauss], "numpy": np.random.get_state(legacy=False)}  # noqa: NPY002
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = torch.get_rng_state().numpy().copy()
        if torch.cuda.is_available():
            found["cuda"] = [state.numpy().copy() for state in torch.cuda.get_rng_state_all()]
    return found


def put_back(states: Mapping[str, Any]) -> None:
    """Give the generators these states; what was not saved is left alone."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    np.random.set_state(dict(states["numpy"]))  # noqa: NPY002
    torch = sys.modules.get("torch")
    if torch is not None and "torch" in states:
        torch.set_rng_state(torch.from_numpy(np.array(states["torch"])))
        if "cuda" in states and torch.cuda.device_count() == len(states["cuda"]):
            torch.cuda.set_rng_state_all([torch.from_numpy(np.array(state)) for state in states["cuda"]])
