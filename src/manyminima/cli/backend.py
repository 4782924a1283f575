"""Which of Keras's backends a command runs on. Only the command line chooses; the library takes what it finds."""

import importlib.util
import json
import os
from pathlib import Path

BACKENDS = ("jax", "torch", "tensorflow")


def choose() -> str:
    """Choose a backend, tell Keras through this process's environment, and say so in one line on stderr.

    $KERAS_BACKEND comes first, then the backend in keras.json if it is installed, then the first installed of jax, torch
    and tensorflow.

    Raises:
        ValueError: $KERAS_BACKEND names no backend that trains.
        ImportError: the backend in $KERAS_BACKEND is not installed, or none is.
    """
    from rich.console import Console

    name, reason = wanted()
    os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets on stderr, also when only found installed
    Console(stderr=True).print(f"Keras runs on {name} ({reason}).", style="dim", highlight=False)
    return name


def wanted() -> tuple[str, str]:
    """Return the backend to use, and why, without importing it."""
    if name := os.environ.get("KERAS_BACKEND"):
        _check(name)
        return name, "from KERAS_BACKEND"
    configured = _configured()
    if configured in BACKENDS and _installed(configured):
        return configured, f"from {_config_file()}"
    for name in BACKENDS:
        if _installed(name):
            return name, "the first one installed; KERAS_BACKEND chooses another"
    raise ImportError(
        f'no Keras backend is installed. Expected one of {", ".join(BACKENDS)}: type pip install "manyminima[jax]".'
    )


def _check(name: str) -> None:
    if name not in BACKENDS:
        raise ValueError(
            f"KERAS_BACKEND is {name!r}, which cannot train. Expected one of {', '.join(BACKENDS)}: type export "
            f"KERAS_BACKEND=jax."
        )
    if not _installed(name):
        raise ImportError(
            f'KERAS_BACKEND is {name!r}, but {name} is not installed. Type pip install "manyminima[{name}]", or unset '
            f"KERAS_BACKEND to use what is installed."
        )


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _config_file() -> Path:
    """Where Keras itself looks for its configuration."""
    home = os.path.expanduser("~") if os.access(os.path.expanduser("~"), os.W_OK) else "/tmp"
    return Path(os.environ.get("KERAS_HOME") or os.path.join(home, ".keras"), "keras.json").expanduser()


def _configured() -> str | None:
    try:
        config = json.loads(_config_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config.get("backend") if isinstance(config, dict) else None
