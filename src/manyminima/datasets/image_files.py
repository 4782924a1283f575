"""Images in a folder or an archive: what there is, and their pixels. An archive is read where it is, never unpacked to disk."""

import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

__all__ = ["SUFFIXES", "compression", "fingerprint", "is_archive", "names_of", "pixels_of"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif")

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
_TOGETHER = 64  # files in a task: handing over one at a time costs as much as decoding it


def is_archive(path: str | Path) -> bool:
    """Tell by its name whether a file is an archive that can be read.

    >>> is_archive("images.tar.xz"), is_archive("images.npz")
    (True, False)
    """
    return str(path).lower().endswith((*_TAR, ".zip"))


def names_of(path: Path) -> list[str]:
    """Return the names of the images in a folder or archive, with `/` between folders, sorted. Hidden files are left out.

    Raises:
        ValueError: the archive is damaged.
    """
    if path.is_dir():
        names = (file.relative_to(path).as_posix() for file in _files(path))
        return sorted(name for name in names if _is_image(name))
    return sorted(name for name, _ in _archived(path, read=False))


def fingerprint(path: Path) -> str:
    """Return a text that changes when files are added, removed, or written again: names, sizes and times, not contents."""
    root, files = (path, sorted(_files(path))) if path.is_dir() else (path.parent, [path])
    stats = ((file.relative_to(root), file.stat()) for file in files)
    return "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)


def pixels_of(path: Path, names: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, (height, width, channels) uint8) of these images, in the order in which they are stored.

    Raises:
        ValueError: a file is no image, has more than 8 bits a channel, or the archive is damaged.
    """
    wanted = set(names)
    stored = ((n, None) for n in names) if path.is_dir() else (f for f in _archived(path, read=True) if f[0] in wanted)
    workers = os.cpu_count() or 1
    waiting: deque = deque()
    with ThreadPoolExecutor(workers) as pool:
        while together := list(islice(stored, _TOGETHER)):
            waiting.append(pool.submit(_decoded, path, together))
            if len(waiting) > 2 * workers:  # few files are in memory at a time
                yield from waiting.popleft().result()
        for job in waiting:
            yield from job.result()


def compression(path: Path) -> str | None:
    """Return how a folder's or archive's first image was made lossy, "JPEG-75" for libjpeg's quality 75; None if it was not."""
    from PIL import Image

    first = (path / names_of(path)[0]).read_bytes() if path.is_dir() else next(_archived(path, read=True))[1]
    with Image.open(io.BytesIO(first)) as image:
        if image.format != "JPEG":
            return None
        tables = image.quantization  # pyright: ignore[reportAttributeAccessIssue]
    for quality in range(1, 101):
        made = io.BytesIO()
        Image.new("RGB", (8, 8)).save(made, "JPEG", quality=quality)
        with Image.open(made) as image:
            if image.quantization == tables:  # pyright: ignore[reportAttributeAccessIssue]
                return f"JPEG-{quality}"
    return "JPEG"


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _files(path: Path) -> Iterator[Path]:
    for folder, _, files in os.walk(path):
        yield from (Path(folder, file) for file in files)


def _archived(path: Path, *, read: bool) -> Iterator[tuple[str, bytes]]:
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if _is_image(name):
                        yield name, archive.read(name) if read else b""
        else:
            with tarfile.open(path, "r|*") as archive:
                for member in archive:
                    if member.isfile() and _is_image(name := member.name.removeprefix("./")):
                        yield name, archive.extractfile(member).read() if read else b""  # pyright: ignore
    except _DAMAGED as error:
        raise ValueError(f"'{path}' cannot be read to its end ({error}). Copy or download it again.") from error


def _decoded(path: Path, together: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, np.ndarray]]:
    return [(name, _pixels(path, name, data)) for name, data in together]


def _pixels(path: Path, name: str, data: bytes | None) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(Path(path, name) if data is None else io.BytesIO(data)) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"it has more than 8 bits a channel, mode {image.mode}; save it with 8 bits")
            array = np.asarray(image if image.mode == "L" else image.convert("L" if image.mode == "1" else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, zlib.error) as error:
        raise ValueError(
            f"'{name}' in '{path}' is no image that can be read ({str(error).rstrip('.')}). Remove it, or put a good copy there."
        ) from error
    return array[..., None] if array.ndim == 2 else array
