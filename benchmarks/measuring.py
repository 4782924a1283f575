"""What every benchmark needs: where it was measured, and how sure a mean over few seeds is."""

import datetime
import os
import platform
from importlib import metadata

import numpy as np
from scipy import stats

__all__ = ["environment", "interval"]


def environment() -> dict[str, str | int | None]:
    import keras

    backend = keras.backend.backend()
    names = {"jax": ["jax"], "torch": ["torch"], "tensorflow": ["tensorflow-cpu", "tensorflow"]}[backend]
    versions = {}
    for name in ["keras", "numpy", *names]:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "backend": backend,
        **versions,
    }


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return mean, and lower and upper end of Student's 95 % interval."""
    mean, half = np.mean(values), stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return float(mean), float(mean - half), float(mean + half)
