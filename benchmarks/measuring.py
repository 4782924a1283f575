"""What every benchmark needs: where it was measured, how sure a mean over few seeds is, and what it claims."""

import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from scipy import stats

__all__ = ["at_least", "at_most", "environment", "in_child", "interval", "load", "peak", "where", "write"]

RESULTS = Path(__file__).parent / "results"


def environment(*packages: str) -> dict[str, str | int | None]:
    """Return date, machine and versions, those of further packages too."""
    import keras

    backend = keras.backend.backend()
    names = {"jax": ["jax"], "torch": ["torch"], "tensorflow": ["tensorflow-cpu", "tensorflow"]}[backend]
    versions = {}
    for name in ["keras", "numpy", *names, *packages]:
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


def peak(size: int) -> float:
    """Return floating-point operations per second of a product of two float32 matrices, size × size, on JAX; median of 8."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((size, size), "float32")
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    seconds = []
    for _ in range(8):
        begin = time.perf_counter()
        product(a).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 / float(np.median(seconds))


def at_least(work: str, against: str, aim: float, ratios: Sequence[float], unit: str = "×") -> dict:
    """Return a claim: how many times as fast as another way, median with the smallest and the largest of the ratios."""
    return _claim(work, against, f"≥ {aim:g} {unit}", ratios, unit, float(np.median(ratios)) >= aim)


def at_most(work: str, against: str, aim: float, ratios: Sequence[float], unit: str = "×") -> dict:
    """Return a claim: a share of what another way costs, median with the smallest and the largest."""
    return _claim(work, against, f"≤ {aim:g} {unit}", ratios, unit, float(np.median(ratios)) <= aim)


def _claim(work: str, against: str, aim: str, ratios: Sequence[float], unit: str, met: bool) -> dict:
    low, median, high = (float(f(ratios)) for f in (np.min, np.median, np.max))
    return {"work": work, "against": against, "aim": aim, "unit": unit, "measured": [median, low, high], "met": met}


def in_child(script: str | Path, *arguments: str, env: dict[str, str] | None = None):
    """Return what a process of its own prints as JSON in its last line; it starts without compiled programs or caches.

    Raises:
        RuntimeError: it failed; the message is what it said.
    """
    command = [sys.executable, str(script), *arguments]
    cold = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(command, env={**cold, **(env or {})}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def write(path: Path | None, result: dict) -> None:
    """Write a result where one is wanted."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")


def load(name: str) -> list[dict]:
    """Return the recorded results whose file names begin with `name`."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"{name}*.json"))]


def where(result: dict) -> str:
    """Return date, machine and versions in words."""
    e = result["environment"]
    skip = ("date", "machine", "python", "backend", "numpy", "device", "peak", "replicas")
    versions = ", ".join(f"{k} {v}" for k, v in e.items() if k not in skip)
    return f"{e['date']}, {e['machine']}, Python {e['python']}, {versions}"
