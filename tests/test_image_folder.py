"""Folders and archives of images: what is read, what is kept, and each error's way out."""

import json
import os
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from images_on_disk import SHAPE, first_pixels, folder, pixels, save
from manyminima import datasets
from manyminima.datasets import image_folder
from manyminima.datasets.image_files import pixels_of

pytestmark = pytest.mark.usefixtures("image_cache")


def read(path):
    return image_folder.read_images(path)


def test_parts_classes_and_pixels_are_those_of_the_files(tmp_path):
    source = read(folder(tmp_path / "data"))
    assert source.classes == ["cat", "dog"]
    assert set(source.parts) == {"train", "test"}
    for p, part in enumerate(("train", "test")):
        x, y = source.parts[part]
        assert (x.shape, x.dtype) == ((20, *SHAPE), np.uint8)
        assert first_pixels(x) == [[p, c, i] for c in (0, 1) for i in range(10)]
        assert y.tolist() == [0] * 10 + [1] * 10
        np.testing.assert_array_equal(x[3, 1:], pixels(10, seed=10 * p)[3, 1:])


def test_load_splits_a_folder_without_parts_and_finds_its_test_rows_again(tmp_path):
    path = folder(tmp_path / "pets", parts=("",))
    data = datasets.load(path)
    assert data.contract["rows"] == {"train": 12, "val": 4, "test": 4}
    assert data.contract["classes"] == ["cat", "dog"]
    assert data.contract == json.loads(json.dumps(data.contract))
    assert data.input_shape == SHAPE
    rows = datasets.evaluation_rows(data.contract)
    np.testing.assert_array_equal(rows.x, data.x_test)
    assert rows.text == f"the 4 test rows of {path}"
    copy = shutil.copytree(path, tmp_path / "copy")
    np.testing.assert_array_equal(datasets.evaluation_rows(data.contract, copy).x, data.x_test)


def test_a_source_s_own_parts_are_kept(tmp_path):
    data = datasets.load(str(folder(tmp_path / "data", parts=("train", "valid", "test"))))
    assert data.contract["split"] == "the source's own parts"
    assert {pixel[0] for pixel in first_pixels(data.x_val)} == {1}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".zip"])
@pytest.mark.parametrize("around", ["", "data/"])
def test_archives_hold_what_their_folder_holds(tmp_path, suffix, around):
    path = folder(tmp_path / "data")
    file = tmp_path / f"images{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            for image in sorted(path.rglob("*.png"), reverse=True):  # another order than the names'
                archive.write(image, around + image.relative_to(path).as_posix())
            archive.writestr("__MACOSX/train/cat/._000.png", b"no image")
    else:
        with tarfile.open(file, f"w:{suffix.rpartition('.')[2].replace('tar', '')}") as archive:
            archive.add(path, around or ".")
    found, expected = read(file), read(path)
    assert found.sha256 == expected.sha256
    for part, (x, y) in expected.parts.items():
        np.testing.assert_array_equal(found.parts[part][0], x)
        np.testing.assert_array_equal(found.parts[part][1], y)


def test_other_files_are_left_out(tmp_path):
    path = folder(tmp_path / "data")
    (path / "README.txt").write_text("about")
    (path / "train" / "cat" / "Thumbs.db").write_bytes(b"?")
    save(path / "train" / ".hidden" / "x.png", pixels(1)[0])
    save(path / "train" / "cat" / "._000.png", pixels(1)[0])
    assert len(read(path).parts["train"][0]) == 20


def test_grey_images_have_one_channel_unless_one_is_in_colour(tmp_path):
    for label in ("a", "b"):
        save(tmp_path / "g" / label / "1.png", pixels(1)[0, ..., 0])
    x, _ = read(tmp_path / "g").parts["train"]
    np.testing.assert_array_equal(x[0, ..., 0], pixels(1)[0, ..., 0])
    assert x.shape == (2, 9, 8, 1)
    save(tmp_path / "g" / "b" / "2.png", pixels(1)[0])
    x, _ = read(tmp_path / "g").parts["train"]
    assert x.shape == (3, 9, 8, 3)
    np.testing.assert_array_equal(x[0], np.repeat(pixels(1)[0, ..., :1], 3, -1))
    np.testing.assert_array_equal(x[2], pixels(1)[0])


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "CMYK", "LA"])
def test_modes_of_images_become_colours(tmp_path, mode):
    for label in ("a", "b"):
        image = Image.fromarray(pixels(1)[0]).convert(mode)
        save_as = "1.tiff" if mode == "CMYK" else "1.png"
        (tmp_path / label).mkdir()
        image.save(tmp_path / label / save_as)
    expected = np.asarray(image.convert("L" if mode == "1" else "RGB")).reshape(9, 8, -1)
    np.testing.assert_array_equal(read(tmp_path).parts["train"][0][0], expected)


def test_a_camera_s_note_on_rotation_is_followed(tmp_path):
    for label in ("a", "b"):
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by a quarter
        save(tmp_path / label / "1.png", pixels(1)[0], exif=exif)
    x, _ = read(tmp_path).parts["train"]
    np.testing.assert_array_equal(x[0], np.rot90(pixels(1)[0], -1))


# -- the cache -----------------------------------------------------------------------------------------------------------


def test_images_are_decoded_once_until_a_file_changes(tmp_path, image_cache, monkeypatch):
    path = folder(tmp_path / "data")
    decoded = []

    def counted(*arguments):
        decoded.append(arguments)
        return pixels_of(*arguments)

    monkeypatch.setattr(image_folder, "pixels_of", counted)
    first = read(path)
    again = read(path)
    assert len(decoded) == 1
    assert (again.sha256, again.classes, again.origin) == (first.sha256, first.classes, first.origin)
    np.testing.assert_array_equal(again.parts["test"][0], first.parts["test"][0])
    save(path / "train" / "cat" / "000.png", pixels(1, seed=99)[0])
    os.utime(path / "train" / "cat" / "000.png", (1, 1))
    changed = read(path)
    assert len(decoded) == 2
    np.testing.assert_array_equal(changed.parts["train"][0][0], pixels(1, seed=99)[0])
    assert changed.sha256 != first.sha256
    assert len(list(image_cache.iterdir())) == 1  # of one folder one state is kept


def test_a_damaged_cache_is_made_again(tmp_path, image_cache):
    path = folder(tmp_path / "data")
    expected = read(path).sha256
    (file,) = image_cache.iterdir()
    for content in (file.read_bytes()[:-2000], b"", b"no zip"):
        file.write_bytes(content)
        assert read(path).sha256 == expected


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, image_cache):
    image_cache.parent.mkdir(parents=True)
    image_cache.write_text("a file where the folder should be")
    assert len(read(folder(tmp_path / "data")).parts["train"][0]) == 20


# -- fewer rows ----------------------------------------------------------------------------------------------------------


def test_a_limit_keeps_classes_shares_and_the_test_rows(tmp_path):
    path = folder(tmp_path / "data", count=50)
    whole, some = datasets.load(path, seed=4), datasets.load(path, seed=4, limit=40)
    assert some.contract["rows"] == {"train": 40, "val": 10, "test": 100}
    assert np.bincount(some.y_train).tolist() == [20, 20]
    assert some.contract["limit"] == 40
    np.testing.assert_array_equal(some.x_test, whole.x_test)
    known = {tuple(pixel) for pixel in first_pixels(whole.x_train)}
    assert {tuple(pixel) for pixel in first_pixels(some.x_train)} < known
    np.testing.assert_array_equal(datasets.run_dataset(some.contract).x_train, some.x_train)
    assert datasets.load(path, limit=1000).contract == datasets.load(path).contract
    with pytest.raises(
        ValueError, match=r"limit is 1 training rows\. Expected at least 2, one for each class: type --limit"
    ):
        datasets.load(path, limit=1)


# -- errors --------------------------------------------------------------------------------------------------------------


def spoilt(path, how):
    folder(path)
    if how == "broken":
        (path / "train" / "dog" / "004.png").write_bytes(b"no image at all")
    elif how == "cut off":
        file = path / "train" / "dog" / "004.png"
        file.write_bytes(file.read_bytes()[:-100])
    elif how == "sizes":
        save(path / "train" / "dog" / "004.png", pixels(1, shape=(5, 7, 3))[0])
    elif how == "one class":
        shutil.rmtree(path / "train" / "dog")
        shutil.rmtree(path / "test" / "dog")
    elif how == "new class":
        save(path / "test" / "emu" / "1.png", pixels(1)[0])
    elif how == "no train":
        shutil.rmtree(path / "train")
    elif how == "loose":
        save(path / "train" / "1.png", pixels(1)[0])
    elif how == "deep":
        save(path / "train" / "cat" / "tabby" / "1.png", pixels(1)[0])
    elif how == "mixed":
        save(path / "emu" / "1.png", pixels(1)[0])
    elif how == "16 bits":
        save(path / "train" / "cat" / "004.png", pixels(1)[0, ..., 0].astype(np.uint16))
    elif how == "empty":
        shutil.rmtree(path)
        (path / "train" / "cat").mkdir(parents=True)
        (path / "train" / "cat" / "notes.txt").write_text("no image")
    return path


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "broken",
            r"'train/dog/004\.png' in '.*data' is no image that can be read .*Remove it, or put a good copy there",
        ),
        ("cut off", r"'train/dog/004\.png' in '.*data' is no image that can be read .*Remove it"),
        ("sizes", r"different sizes: 'test/cat/000\.png' is 8 × 9, 'train/dog/004\.png' 7 × 5\..*resize\(\(8, 9\)\)"),
        ("one class", r"images of one class only, 'cat'\. Expected a folder for each class, CLASS/IMAGE\.png"),
        ("new class", r"has test images of 'emu', but no train images.*cat, dog\. Remove that folder, or add images"),
        ("no train", r"has no train images, only test\. Expected a folder for each class"),
        ("loose", r"the image 'train/1\.png' in '.*' lies in no class's folder, or too deep\. Expected"),
        ("deep", r"the image 'train/cat/tabby/1\.png' in .*too deep\. Expected .*move the images"),
        ("mixed", r"the image 'emu/1\.png' in .*lies in no class's folder"),
        ("16 bits", r"'train/cat/004\.png'.*more than 8 bits a channel, mode I;16; save it with 8 bits"),
        ("empty", r"has no images \(\.png, \.jpg.*Expected a folder for each class"),
    ],
)
def test_a_bad_folder_is_named_with_the_way_out(tmp_path, how, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(spoilt(tmp_path / "data", how))


def test_a_damaged_archive(tmp_path):
    path = folder(tmp_path / "data")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(path, ".")
    whole = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.zip").write_bytes(b"no zip")
    for name in ("a.tar.gz", "b.zip"):
        with pytest.raises(ValueError, match=rf"{name}' cannot be read to its end .*Copy or download it again"):
            datasets.load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"no folder or file 'gone\.tar'\. Check the path"):
        datasets.load("gone.tar")


def test_images_that_do_not_fit_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "_memory", lambda: 10_000)
    with pytest.raises(ValueError, match=r"has 40 images of 8 × 9: decoded they take .*Make them smaller"):
        read(folder(tmp_path / "data"))
