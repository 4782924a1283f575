"""Looking a stranger's model over before it is built: no code, no unknown class, and no larger than its members.

Keras would import any module that a config names; here every class must be Keras's own or registered by the user's program
beforehand, and pickled lambdas need the user's explicit word.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from keras.src.backend.common import global_state

__all__ = ["uses_only_keras", "vet", "without_values"]


def vet(config: Any, custom_objects: Mapping[str, Any], safe_mode: bool) -> None:
    """Refuse a config that would run code or needs a class nobody has registered, before anything is built."""
    missing = set()
    for entry in _entries(config):
        name, module = entry["class_name"], entry.get("module")
        if name == "__lambda__" and safe_mode:
            raise ValueError(
                "the model contains a Lambda layer whose code is stored in the run. If you trust where the run comes from: "
                "mm.load(path, safe_mode=False). Better: replace the lambda by a registered function or a layer."
            )
        ours = name.startswith("__") or _registered(entry, custom_objects)
        if not ours and module is not None and module != "builtins" and str(module).split(".")[0] != "keras":
            missing.add(f"{module}.{entry['config'] if name == 'function' else name}"[:200])
    if missing:
        raise ValueError(
            f"the model uses {', '.join(sorted(missing)[:10])}, which Keras does not know. Import the module that defines it and "
            f"decorate it with @keras.saving.register_keras_serializable(), or pass custom_objects={{...}}."
        )


def uses_only_keras(config: Any, custom_objects: Mapping[str, Any]) -> bool:
    """Tell whether a model is made of Keras's own classes alone."""
    return not any(_registered(entry, custom_objects) for entry in _entries(config))


def _registered(entry: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> bool:
    name = entry["class_name"]
    other = entry["config"] if name == "function" else entry.get("registered_name")
    names = [n for n in (other, name) if isinstance(n, str)]
    return any(keras.saving.get_registered_object(n, custom_objects) is not None for n in names)


def _entries(config: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(config, Mapping):
        if isinstance(config.get("class_name"), str) and "config" in config:
            yield config
        children = config.values()
    else:
        children = config if isinstance(config, list | tuple) else ()
    for child in children:
        yield from _entries(child)


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Give the variables of models that are built within their memory and values at the end; none if it ends in an error.

    Keras does the same when it traces a model that is not built yet.
    """
    waiting = "uninitialized_variables"
    before = global_state.get_global_attribute(waiting)
    global_state.set_global_attribute(waiting, [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
        with keras.StatelessScope():  # leaving it fills what waits
            pass
    finally:
        global_state.set_global_attribute(waiting, before)
