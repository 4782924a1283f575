"""A folder of images, or an archive of one, as arrays: a folder for each class, with train/ and test/ above them or without."""

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from manyminima.datasets.image_cache import cached
from manyminima.datasets.image_files import SUFFIXES, fingerprint, is_archive, names_of, pixels_of
from manyminima.datasets.sources import Source

__all__ = ["is_images", "read_images"]

_PARTS = {"train": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}
_LAYOUT = (
    "Expected a folder for each class, CLASS/IMAGE.png, or those in train and in test, train/CLASS/IMAGE.png: move the images "
    "into such folders"
)


class Place(NamedTuple):
    """Where an image belongs, and its name; places sort by part, class and name."""

    part: str
    label: str
    name: str


def is_images(source: str | Path) -> bool:
    """Tell whether a source is a folder or an archive, rather than a file of arrays or a name."""
    return is_archive(source) or Path(source).is_dir()


def read_images(path: Path) -> Source:
    """Decode all images of a folder or archive to bytes, (rows, height, width, channels) uint8.

    Classes are the folders' names in alphabetical order. Images are grey, with one channel, if all are, and RGB otherwise;
    transparency is dropped, and a camera's note on rotation is followed. What comes out is kept in the user's cache, and decoded
    again when a file has changed its name, size or time. The source's hash is that of the pixels, so that a copy is known.

    Args:
        path: a folder, or a .tar, .tar.gz, .tar.xz, .tgz or .zip file, with CLASS/IMAGE or PART/CLASS/IMAGE in it; PART is train,
            test or val. Other files than images are left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there are no images, or only one class; one cannot be read, or has another size than the others; the folders
            are no parts and classes; all together they do not fit into memory.
    """
    if not path.exists():
        raise FileNotFoundError(f"no folder or file '{path}'. Check the path.")
    return cached(path, fingerprint(path), lambda: _decoded(path))


def _decoded(path: Path) -> Source:
    names = names_of(path)
    if not names:
        raise ValueError(f"'{path}' has no images ({', '.join(SUFFIXES)}). {_LAYOUT}.")
    places = sorted(_places(path, names))
    classes = _classes(path, places)
    images = _images(path, [place.name for place in places])
    labels = np.array([classes.index(place.label) for place in places])
    parts = {}
    for part in dict.fromkeys(place.part for place in places):
        rows = [i for i, place in enumerate(places) if place.part == part]
        here = slice(rows[0], rows[-1] + 1)  # places are sorted by part
        parts[part] = (images[here], labels[here])
    digest = hashlib.sha256(f"{classes}{[(part, x.shape) for part, (x, _) in parts.items()]}".encode())
    digest.update(images.data)
    digest.update(labels.data)
    return Source(str(path.resolve()), parts, classes, digest.hexdigest())


def _places(path: Path, names: Sequence[str]) -> list[Place]:
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    while all(len(f) > 1 for f in folders) and len({f[0] for f in folders}) == 1 and folders[0][0] not in _PARTS:
        folders = [f[1:] for f in folders]  # an archive often has one folder around all
    split = any(f and f[0] in _PARTS for f in folders)
    for name, folder in zip(names, folders, strict=True):
        if len(folder) != 1 + split or (split and folder[0] not in _PARTS):
            raise ValueError(f"the image '{name}' in '{path}' lies in no class's folder, or too deep. {_LAYOUT}.")
    places = [Place(_PARTS[f[0]] if split else "train", f[-1], n) for f, n in zip(folders, names, strict=True)]
    if all(place.part != "train" for place in places):
        raise ValueError(f"'{path}' has no train images, only {' and '.join({p.part for p in places})}. {_LAYOUT}.")
    return places


def _classes(path: Path, places: Sequence[Place]) -> list[str]:
    trained = sorted({place.label for place in places if place.part == "train"})
    if len(trained) < 2:
        raise ValueError(f"'{path}' has images of one class only, {trained[0]!r}. {_LAYOUT}, for two classes at least.")
    for place in places:
        if place.label not in trained:
            raise ValueError(
                f"'{path}' has {place.part} images of {place.label!r}, but no train images of it; there are those of "
                f"{', '.join(trained[:12])}. Remove that folder, or add images to train."
            )
    return trained


def _images(path: Path, names: list[str]) -> np.ndarray:
    """Return the images in the order of their names, (rows, height, width, 1 or 3)."""
    row = {name: i for i, name in enumerate(names)}
    images: np.ndarray = np.empty(0, np.uint8)
    first, grey = "", True
    for name, image in pixels_of(path, names):
        height, width, channels = image.shape
        if not first:
            first = name
            _check_memory(path, (len(names), height, width, 3))
            images = np.empty((len(names), height, width, 3), np.uint8)
        if (height, width) != images.shape[1:3]:
            raise ValueError(
                f"the images in '{path}' have different sizes: '{first}' is {images.shape[2]} × {images.shape[1]}, '{name}' "
                f"{width} × {height}. Expected one size. With Pillow: Image.open(file).resize(({images.shape[2]}, "
                f"{images.shape[1]})).save(file)."
            )
        images[row[name]] = image
        grey = grey and channels == 1
    return np.ascontiguousarray(images[..., :1]) if grey else images


def _check_memory(path: Path, shape: tuple[int, ...]) -> None:
    needed, there = math.prod(shape), _memory()
    if needed > 0.8 * there:
        raise ValueError(
            f"'{path}' has {shape[0]:,} images of {shape[2]} × {shape[1]}: decoded they take {needed / 2**30:.1f} GB, and this "
            f"machine has {there / 2**30:.1f}. Make them smaller, or give fit a data set of your own, with mm.Collect."
        )


def _memory() -> float:
    """Return the machine's memory in bytes; without limit where that cannot be asked for."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf
