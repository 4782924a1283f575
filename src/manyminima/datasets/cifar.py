"""CIFAR-10 and CIFAR-100: 50,000 images to train on and 10,000 to test, 32 × 32 × 3 bytes, of 10 and of 100 classes."""

import os
from pathlib import Path

import numpy as np

from manyminima.datasets.sources import FOLDER, Source, file_hash

__all__ = ["cifar"]

_TEN = "airplane automobile bird cat deer dog frog horse ship truck"
_HUNDRED = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle caterpillar
cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl
hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


def cifar(count: int) -> Source:
    """Return CIFAR-10 or CIFAR-100, by its number of classes; from $MANYMINIMA_DATA where that is set, else through Keras.

    The folder may hold the images, cifar10-images.tar.xz or the folder cifar10-images with train/CLASS and test/CLASS, or the
    arrays, cifar10.npz. Images that were compressed with loss are not the published data, and the source's title says so.

    Raises:
        FileNotFoundError: the variable is set, and its folder has neither.
        OSError: the download failed.
    """
    name = f"cifar{count}"
    classes: list[str] = [*(_TEN if count == 10 else _HUNDRED).split()]
    if os.environ.get(FOLDER):
        return _from_folder(Path(os.environ[FOLDER]), name, classes)
    from keras import datasets as downloaded

    try:
        train, test = getattr(downloaded, name).load_data()
    except Exception as error:  # Keras raises a bare Exception when the network fails
        raise OSError(
            f"CIFAR-{count} could not be downloaded: {error}. Expected a network, or a folder with {name}.npz (x_train, y_train, "
            f"x_test, y_test) or {name}-images.tar.xz (train/CLASS/IMAGE.png, test/...): type export {FOLDER}=that/folder."
        ) from error
    parts = {part: (x, y.ravel()) for part, (x, y) in {"train": train, "test": test}.items()}
    return Source(f"keras.datasets.{name}", parts, classes)


def _from_folder(folder: Path, name: str, classes: list[str]) -> Source:
    from manyminima.datasets.image_files import compression
    from manyminima.datasets.image_folder import read_images

    arrays = folder / f"{name}.npz"
    if arrays.is_file():
        with np.load(arrays, allow_pickle=False) as found:
            parts = {part: (found[f"x_{part}"], found[f"y_{part}"].ravel()) for part in ("train", "test")}
        return Source(f"{name}.npz in ${FOLDER}", parts, classes, file_hash(arrays))
    for path in (folder / f"{name}-images.tar.xz", folder / f"{name}-images"):
        if path.exists():
            source, lossy = read_images(path), compression(path)
            title = f"CIFAR-{len(classes)} ({lossy})" if lossy else None
            return Source(f"{path.name} in ${FOLDER}", source.parts, source.classes, source.sha256, title)
    raise FileNotFoundError(
        f"'{folder}' has no {name}.npz, {name}-images.tar.xz or {name}-images, but {FOLDER} is set to that folder. Put one of "
        f"them there, or unset {FOLDER} to download the data."
    )
