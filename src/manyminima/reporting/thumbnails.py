"""Small pictures of inputs, inside the page."""

from base64 import b64encode
from io import BytesIO

import numpy as np

__all__ = ["png"]

_SIDE = 128  # pixels of the longer side, about


def png(picture: np.ndarray) -> str:
    """A picture as a data URI, shrunk, or in whole multiples of its pixels, to about 128 of them.

    Args:
        picture: (height, width), or (height, width, 1 or 3 or 4), of any range; it is scaled by its own.
    """
    from PIL import Image

    image = Image.fromarray(_scaled(picture))
    factor = _SIDE // max(image.size)
    if factor > 1:
        image = image.resize([factor * side for side in image.size], Image.Resampling.NEAREST)
    image.thumbnail((_SIDE, _SIDE))
    file = BytesIO()
    image.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + b64encode(file.getvalue()).decode()


def _scaled(picture: np.ndarray) -> np.ndarray:
    """Bytes of grey or of three colours; what is not finite is black, and what is transparent is not."""
    picture = np.nan_to_num(np.asarray(picture, "float64"), posinf=0, neginf=0)
    if picture.ndim == 3:
        picture = picture[..., 0] if picture.shape[-1] == 1 else picture[..., :3]
    low, high = picture.min(), picture.max()
    return (255 * (picture - low) / (high - low if high > low else 1.0)).round().astype("uint8")
