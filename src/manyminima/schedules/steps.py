"""What a schedule needs whatever its shape: steps as numbers, arrays or traced tensors, saving by its fields, one error."""

from dataclasses import fields
from fractions import Fraction
from typing import Any

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from manyminima.parameters import is_number

__all__ = ["at_hand", "check", "check_numbers", "divided", "namespace", "result", "serialisable"]


def serialisable(cls):
    """Let Keras save a frozen dataclass: its fields are its config."""

    def get_config(self):
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    def from_config(cls, config):
        return cls(**{name: _unplain(value) for name, value in config.items()})

    cls.get_config, cls.from_config = get_config, classmethod(from_config)
    return keras.saving.register_keras_serializable("manyminima")(cls)


def _plain(value):
    if isinstance(value, Fraction):
        return str(value)
    return keras.saving.serialize_keras_object(value) if isinstance(value, LearningRateSchedule | tuple) else value


def _unplain(value):
    if isinstance(value, dict):
        return keras.saving.deserialize_keras_object(value)
    return tuple(_unplain(v) for v in value) if isinstance(value, list | tuple) else value


def at_hand(step: Any) -> int | None:
    """Return a count that torch holds on the CPU as a plain number; None elsewhere, where it is traced or far away.

    torch runs one operation after the other, each of which takes longer than a whole formula on plain numbers.
    """
    step = step.value if isinstance(step, keras.Variable) else step
    here = type(step).__module__.startswith("torch") and step.ndim == 0 and step.device.type == "cpu"
    return int(step) if here else None


def namespace(step: Any) -> tuple[Any, Any, Any]:
    """Return the array functions to use for `step`, a cast to their real numbers, and `step` as they take it."""
    if isinstance(step, int | float | np.ndarray | np.generic):
        return np, lambda x: np.asarray(x, "float64"), step
    number = at_hand(step)
    if number is not None:
        return np, lambda x: np.asarray(x, "float64"), number
    # Backends count steps in different integers, and do not mix them.
    return keras.ops, lambda x: keras.ops.cast(x, "float32"), keras.ops.cast(step, "int32")


def result(rate, step):
    """Return the rate as a plain number if the step was one."""
    return float(rate) if isinstance(step, int | float | np.generic) else rate


def check_numbers(schedule, *names: str):
    """Raise ValueError if one of these parameters is no number."""
    for name in names:
        value = getattr(schedule, name)
        check(is_number(value), schedule, f"{name} to be a number, not {value!r}")


def check(ok: bool, schedule, expected: str):
    """Raise ValueError, with what was expected, unless `ok`."""
    if not ok:
        raise ValueError(f"{schedule} is not a schedule: expected {expected}.")


def divided(count, n: int, xp):
    """Return quotient and remainder of a count, at most 2**31 - 1, exactly.

    XLA gives an integer division a kernel of its own, which costs the step of a small convolutional network 7 %. What is done
    here with float32 becomes part of the optimizer's update, and costs nothing that can be measured.
    """
    if xp is np:
        return count // n, count % n
    quotient, rest = 0, count
    for _ in range(2):  # the first leaves a remainder of at most n + 256, the second is wrong by at most 1
        guess = xp.cast(xp.floor(xp.cast(rest, "float32") * (1 / n)), "int32")
        quotient, rest = quotient + guess, rest - guess * n
    below, above = rest < 0, rest >= n
    off = xp.cast(above, "int32") - xp.cast(below, "int32")
    return quotient + off, rest - off * n
