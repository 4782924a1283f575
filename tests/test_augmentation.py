"""Augmentation: what each change may do to an image, that it is a pure function of the generator, and what Batches make of it."""

from functools import partial

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyminima.datasets import Batches, augmentation
from manyminima.datasets.augmentation import crop, cutout, flip, mean_colour, named


def images(rows=20, height=6, width=8, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, height, width, channels), np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


CHANGES = [crop, partial(crop, fill=7), flip, partial(cutout, size=4, fill=9)]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_shape_and_type_stay_inputs_are_untouched_and_the_generator_decides(change, dtype, channels):
    x = images(channels=max(channels, 1)).astype(dtype)
    x = x if channels else x[..., 0]
    before = x.copy()
    one, again, other = change(x, rng(1)), change(x, rng(1)), change(x, rng(2))
    assert (one.shape, one.dtype) == (x.shape, x.dtype)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(x, before)
    assert (one != other).any()


@given(pad=st.integers(0, 5), seed=st.integers(0, 99), reflect=st.booleans())
def test_a_crop_is_a_window_of_the_padded_image(pad, seed, reflect):
    x = images(3)
    sides = ((pad, pad), (pad, pad), (0, 0))
    options = {"mode": "reflect"} if reflect else {"constant_values": 7}
    for image, cut in zip(x, crop(x, rng(seed), pad=pad, fill=None if reflect else 7), strict=True):
        padded = np.pad(image, sides, **options)
        windows = [padded[i : i + 6, j : j + 8] for i in range(2 * pad + 1) for j in range(2 * pad + 1)]
        assert any(np.array_equal(cut, window) for window in windows)


def test_every_place_of_a_crop_is_equally_likely():
    x = np.arange(1, 10).reshape(1, 3, 3).repeat(9000, 0)
    corner = crop(x, rng(), pad=1, fill=0)[:, 1, 1]  # tells the place: each number stands for one
    counts = np.bincount(corner, minlength=10)[1:]
    assert counts.sum() == 9000
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)


def test_half_of_the_images_are_mirrored():
    x = images(2000, 2, 3, 1)
    flipped = flip(x, rng())
    same, mirrored = (flipped == x).all((1, 2, 3)), (flipped == x[:, :, ::-1]).all((1, 2, 3))
    assert (same | mirrored).all()
    assert abs((~same).sum() - 1000) < 5 * np.sqrt(500)


@given(size=st.integers(1, 12), seed=st.integers(0, 99))
def test_cutout_paints_one_square_that_may_lie_partly_outside(size, seed):
    x = np.zeros((5, 6, 8, 1), np.uint8)
    for painted in cutout(x, rng(seed), size=size, fill=1)[..., 0]:
        rows, columns = painted.any(1), painted.any(0)
        np.testing.assert_array_equal(painted, np.outer(rows, columns))
        for hit, side in ((rows, 6), (columns, 8)):
            places = np.flatnonzero(hit)
            assert len(places) == np.ptp(places) + 1
            assert len(places) == size or places[0] == 0 or places[-1] == side - 1
            assert len(places) >= min(size // 2, side) or size == 1


def test_fills_are_the_mean_colour():
    x = images(1500)  # more than one piece
    np.testing.assert_array_equal(mean_colour(x), np.round(x.mean((0, 1, 2))))
    np.testing.assert_allclose(mean_colour(x / 255), (x / 255).mean((0, 1, 2)))
    assert mean_colour(x[..., 0]).shape == ()
    black = np.zeros_like(x[:50])
    (cropped, _) = named("crop-flip", x)
    cut = cropped(black, rng())
    assert set(np.unique(cut)) == {0, *mean_colour(x).tolist()}


def test_words():
    assert named("none", np.ones((3, 4))) == ()
    assert named("flip", images()) == (flip,)
    assert named("reflect-crop-flip", images()) == (crop, flip)
    assert len(named("crop-flip", images())) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: named("mixup", images()), r"no augmentation 'mixup'\. Expected one of none, flip, crop-flip"),
        (lambda: named("flip", np.ones((3, 4))), r"rows have shape \(4,\)\. Expected images.*type --augment none"),
        (lambda: crop(images(), rng(), pad=6), r"pad is 6\. Expected at least 0 and below 6.*write pad=4"),
        (
            lambda: cutout(images(), rng(), size=0),
            r"size of the square is 0\. Expected at least 1 pixel: write size=16",
        ),
        (lambda: cutout(np.ones((3, 4)), rng()), r"Expected images"),
    ],
)
def test_what_there_is_not(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- in batches ----------------------------------------------------------------------------------------------------------


def batches(**options):
    x = images()
    return Batches(x, np.arange(len(x)), 8, **options).through(partial(crop, fill=0), flip)


@given(seed=st.integers(0, 50), epoch=st.integers(0, 50), index=st.integers(0, 2))
def test_a_batch_is_a_pure_function_of_seed_epoch_and_its_number(seed, epoch, index):
    one, other = batches(seed=seed, epoch=epoch), batches(seed=seed)
    other[2]  # what was asked for before makes no difference
    other.epoch = epoch
    for a, b in zip(one[index], other[index], strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_stay_with_their_rows_and_every_epoch_is_another():
    x = images()
    plain, changed = Batches(x, np.arange(20), 8, seed=3), batches(seed=3)
    for (a, rows), (b, same) in zip(plain, changed, strict=True):
        np.testing.assert_array_equal(rows, same)
        np.testing.assert_array_equal(a, x[rows])
        assert (a != b).any()
    first = {int(row): image for xs, rows in changed for image, row in zip(xs, rows, strict=True)}
    changed.epoch = 1
    second = {int(row): image for xs, rows in changed for image, row in zip(xs, rows, strict=True)}
    assert sum(not np.array_equal(first[row], second[row]) for row in first) > 15


def test_changes_draw_from_a_stream_apart_from_the_order():
    seen = []
    list(Batches(np.arange(6), batch_size=3, seed=5).through(lambda x, g: seen.append(g.random()) or x))
    key = np.array([5, 0], np.uint64)
    expected = [np.random.Generator(np.random.Philox(counter=[0, 0, 0, i], key=key)).random() for i in (1, 2)]
    assert seen == expected


def test_through_leaves_the_batches_it_came_from():
    plain = Batches(images(), np.arange(20), 8)
    plain.through(flip).epoch = 3
    np.testing.assert_array_equal(plain[0][0], images()[plain.order[:8]])
    assert plain.epoch == 0


def test_training_in_two_parts_is_training_in_one():
    x = images(24, 8, 8)

    def fitted(*parts):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
        model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
        for first, epochs in parts:
            data = Batches(x, np.arange(24) % 2, 8, seed=3, epoch=first).through(*named("reflect-crop-flip", x))
            model.fit(data, epochs=epochs, shuffle=False, verbose=0)
        return model.get_weights()

    for whole, part in zip(fitted((0, 3)), fitted((0, 1), (1, 2)), strict=True):
        np.testing.assert_array_equal(whole, part)


def test_the_public_path():
    import manyminima as mm

    assert mm.datasets.augmentation is augmentation
