"""Where a measurement was made: part of every result."""

import datetime
import os
import platform
from importlib import metadata

__all__ = ["environment"]


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
