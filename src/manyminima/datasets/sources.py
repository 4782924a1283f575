"""The data sets that have a name: one function each, the name with `-` for `_`.

To add one, write a function that returns a `Source` and put it into `__all__`. Libraries are imported inside the functions,
because the command line's help reads the names.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["blobs", "breast_cancer", "cifar10", "cifar100", "digits", "fashion_mnist", "mnist1d", "wine"]

NAMES = tuple(name.replace("_", "-") for name in __all__)

FOLDER = "MANYMINIMA_DATA"


@dataclass(frozen=True)
class Source:
    """Arrays as they come, before any split.

    Args:
        origin: where they come from, for people.
        parts: (inputs, labels) under "train", and under "test" and "val" where the source has them.
        classes: names in the order of the labels; empty where they have none.
        sha256: hash of the file, where it is one; of images, that of their pixels.
        title: what reports call the data, where that is more than the name they are asked for by.
    """

    origin: str
    parts: dict[str, tuple["np.ndarray", "np.ndarray"]]
    classes: list[str] = field(default_factory=list)
    sha256: str | None = None
    title: str | None = None


def blobs() -> Source:
    """Three overlapping clouds of points in the plane: 100 rows to train on, 1,000 to test, 200 to validate.

    Training and test rows are those of the well-known ensemble tutorials. A fifth of 100 rows says next to nothing, so
    the validation rows are drawn anew from the same three clouds, and all 100 stay for training.
    """
    from sklearn.datasets import make_blobs

    x, y, centers = make_blobs(
        n_samples=1100, centers=3, n_features=2, cluster_std=2, random_state=2, return_centers=True
    )
    validation = make_blobs(n_samples=200, centers=centers, cluster_std=2, random_state=3)[:2]
    parts = {"train": (x[:100], y[:100]), "val": validation, "test": (x[100:], y[100:])}
    return Source("make_blobs of scikit-learn, random_state=2", parts)


def breast_cancer() -> Source:
    """569 tumours by 30 measurements of their cell nuclei: malignant or benign."""
    from sklearn.datasets import load_breast_cancer

    return _bundled(load_breast_cancer())


def cifar10() -> Source:
    """60,000 photographs of 32 × 32 × 3 bytes, ten kinds of animals and vehicles; from $MANYMINIMA_DATA, else downloaded.

    Raises:
        OSError: there is no file and the download failed.
    """
    from manyminima.datasets.cifar import cifar

    return cifar(10)


def cifar100() -> Source:
    """60,000 photographs of 32 × 32 × 3 bytes, a hundred kinds of things; from $MANYMINIMA_DATA, else downloaded.

    Raises:
        OSError: there is no file and the download failed.
    """
    from manyminima.datasets.cifar import cifar

    return cifar(100)


def digits() -> Source:
    """1,797 handwritten digits of 8 × 8 pixels, as rows of 64 numbers from 0 to 16."""
    from sklearn.datasets import load_digits

    return _bundled(load_digits())


def wine() -> Source:
    """178 wines of three growers by 13 chemical measurements."""
    from sklearn.datasets import load_wine

    return _bundled(load_wine())


def fashion_mnist() -> Source:
    """70,000 pictures of clothes, 28 × 28 bytes, ten kinds; from $MANYMINIMA_DATA, else downloaded by Keras.

    Raises:
        OSError: there is no file and the download failed.
    """
    names = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
    if os.environ.get(FOLDER):
        return _from_folder("fashion_mnist.npz", names)
    from keras.datasets import fashion_mnist as downloaded

    try:
        train, test = downloaded.load_data()
    except Exception as error:  # Keras raises a bare Exception when the network fails
        raise OSError(
            f"Fashion-MNIST could not be downloaded: {error}. Expected a network, or a folder with fashion_mnist.npz "
            f"(x_train, y_train, x_test, y_test): type export {FOLDER}=that/folder."
        ) from error
    return Source("keras.datasets.fashion_mnist", {"train": train, "test": test}, names)


def mnist1d() -> Source:
    """MNIST-1D: 5,000 signals of 40 samples, ten kinds; needs mnist1d.npz in $MANYMINIMA_DATA.

    Raises:
        FileNotFoundError: the variable is not set, or its folder has no such file.
    """
    if not os.environ.get(FOLDER):
        raise FileNotFoundError(
            f"MNIST-1D is not shipped with manyminima and {FOLDER} is not set. Expected a folder with mnist1d.npz "
            f"(x_train, y_train, x_test, y_test). Make it with the package of github.com/greydanus/mnist1d, save the "
            f"arrays with numpy.savez, and type export {FOLDER}=that/folder."
        )
    return _from_folder("mnist1d.npz", [])


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bundled(bunch) -> Source:
    return Source("scikit-learn", {"train": (bunch.data, bunch.target)}, [str(name) for name in bunch.target_names])


def _from_folder(name: str, classes: list[str]) -> Source:
    import numpy as np

    path = Path(os.environ[FOLDER], name)
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' does not exist, but {FOLDER} is set to its folder. Put the file there.")
    with np.load(path, allow_pickle=False) as arrays:
        parts = {part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")}
    return Source(f"{name} in ${FOLDER}", parts, classes, file_hash(path))
