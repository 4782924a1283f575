"""What Keras does not tell a callback about the `fit` it is in, read off the frames of its callers."""

import inspect
from types import FrameType
from typing import Any

import keras

__all__ = ["adapter", "siblings", "validates"]


def siblings(callback: keras.callbacks.Callback) -> list:
    """Return the other callbacks of the running `fit`; [] if its caller is not Keras."""
    frame = _notifying(callback)
    return [other for other in frame.f_locals["self"].callbacks if other is not callback] if frame else []


def validates(callback: keras.callbacks.Callback) -> bool | None:
    """Tell whether the running `fit` has validation data; None if its caller is not Keras."""
    frame = _notifying(callback)
    fit = frame.f_back if frame else None
    if fit is None or "validation_data" not in fit.f_code.co_varnames:
        return None
    return fit.f_locals["validation_data"] is not None


def adapter(callback: keras.callbacks.Callback) -> Any:
    """Return what the running `fit` draws its batches from; None if its caller is not Keras."""
    frame = _notifying(callback)
    fit = frame.f_back if frame else None
    return getattr(fit.f_locals.get("epoch_iterator"), "data_adapter", None) if fit else None


def _notifying(callback: keras.callbacks.Callback) -> FrameType | None:
    """Return the frame of the list that is notifying all callbacks of a `fit`, this one among them."""
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        notified = getattr(caller, "callbacks", None) if isinstance(caller, keras.callbacks.CallbackList) else None
        if notified and any(one is callback for one in notified):
            return frame
        frame = frame.f_back
    return None
