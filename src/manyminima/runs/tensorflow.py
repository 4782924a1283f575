"""TensorFlow, where it is installed beside another backend."""

import contextlib
import sys
from collections.abc import Iterator

from keras.src.utils.module_utils import tensorflow

__all__ = ["tensorflow_not_imported"]


@contextlib.contextmanager
def tensorflow_not_imported() -> Iterator[None]:
    """Keep Keras from importing a TensorFlow that is installed and not in use, only to ask whether it is: that takes seconds."""
    held = tensorflow._available
    if "tensorflow" not in sys.modules:
        tensorflow._available = False
    try:
        yield
    finally:
        tensorflow._available = held
