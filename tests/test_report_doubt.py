"""What the ensemble doubts: its sentences, its least sure examples, and their pictures."""

import base64
import re

import numpy as np
import pytest

from cases import PROBLEM_CLASSES, members_of
from manyminima import combine, detection, uncertainty
from manyminima.reporting import doubt
from manyminima.reporting.report import report

RNG = np.random.default_rng(0)
Y, P = members_of(0)
IMAGES = RNG.uniform(size=(150, 8, 8))


def test_doubt_is_what_uncertainty_and_detection_say():
    found = report(Y, P).doubt
    mean, total = combine.mean(P), uncertainty.total(P)
    np.testing.assert_allclose(found.total, total.mean())
    np.testing.assert_allclose(found.aleatoric, uncertainty.aleatoric(P).mean())
    np.testing.assert_allclose(found.epistemic, found.total - found.aleatoric)
    curve, errors = detection.risk_coverage(Y, mean, total), detection.misclassification(Y, mean, total)
    np.testing.assert_allclose(found.risk, curve.risk)
    np.testing.assert_allclose([found.area, found.excess], [curve.area, curve.excess])
    assert found.errors == {"auroc": errors.auroc, "aupr": errors.aupr, "fpr95": errors.fpr95, "share": errors.share}
    order = np.argsort(-total)[: doubt.SHOWN]
    assert [one.row for one in found.examples] == order.tolist()
    for one in found.examples:
        assert (one.label, one.predicted) == (str(Y[one.row]), str(mean[one.row].argmax()))
        np.testing.assert_allclose([one.probability, one.total], [mean[one.row].max(), total[one.row]])


def test_doubt_has_no_examples_where_one_has_several_rows_and_none_for_numbers():
    for task in ("dense", "multilabel"):
        assert report(*members_of(0, task=task)).doubt.examples == ()
    result = report(*members_of(0, task="regression"))
    assert result.doubt is None
    assert "least sure" not in str(result)


def test_examples_without_weight_are_not_shown():
    least = report(Y, P).doubt.examples[0].row
    shown = report(Y, P, sample_weight=np.arange(150) != least).doubt.examples
    assert least not in [one.row for one in shown]


def test_long_curves_are_thinned_and_keep_their_ends():
    y, probs = members_of(5, 2000)
    found = report(y, probs).doubt
    curve = detection.risk_coverage(y, combine.mean(probs), uncertainty.total(probs))
    assert len(found.coverage) <= 200
    assert (found.coverage[0], found.coverage[-1]) == (curve.coverage[0], 1.0)
    assert set(found.risk) <= set(curve.risk.tolist())


def test_nothing_to_tell_errors_by():
    certain = np.stack([np.eye(PROBLEM_CLASSES)[Y]] * 2)
    result = report(Y, certain)
    assert result.doubt.errors is None
    assert "Every prediction is right, or every one wrong" in str(result)


def test_names_of_classes_and_rows_of_the_file():
    names = ["cat", "dog", "<script>alert(1)</script>", "a name that is much too long for a picture"]
    result = report(Y, P, run={"data": {"classes": names}}, x=IMAGES)
    for one in result.doubt.examples:
        assert (one.label, one.predicted) == (names[Y[one.row]], names[combine.mean(P)[one.row].argmax()])
    page = result._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    moved = doubt.numbered(result.doubt, 1000 + np.arange(150))
    assert [one.row for one in moved.examples] == [1000 + one.row for one in result.doubt.examples]
    assert doubt.numbered(None, np.arange(3)) is None
    labels = members_of(0, task="multilabel")[0][:, :1]
    shown = report(labels, members_of(0, task="multilabel")[1][..., :1], run={"data": {"classes": ["smiles"]}}).doubt
    assert {one.label for one in shown.examples} <= {"0", "1"}


@pytest.mark.parametrize("data", [None, "a text", {"classes": None}, {"classes": ["only one"]}, [1]])
def test_data_that_tell_no_names(data):
    assert report(Y, P, run={"data": data}).doubt.examples[0].label in ("only one", *map(str, range(PROBLEM_CLASSES)))


# -- pictures -----------------------------------------------------------------------------------------------------------


def pictures(page):
    found = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)"', page)
    assert len(found) == page.count("<img") - page.count("data:image/png") > 0
    return {alt: base64.b64decode(source).decode() for source, alt in found}


@pytest.mark.parametrize(
    ("shape", "kind"), [((8, 8), "float32"), ((8, 9, 1), "bool"), ((8, 8, 3), "uint8"), ((8, 8, 4), "int64")]
)
def test_images_are_shown(shape, kind):
    x = (RNG.uniform(size=(150, *shape)) * (1 if kind == "float32" else 255)).astype(kind)
    result = report(Y, P, x=x)
    for image, example in zip(result.images, result.doubt.examples, strict=True):
        np.testing.assert_array_equal(image, x[example.row])
    assert result._repr_html_().count('src="data:image/png') == len(result.images) == doubt.SHOWN


@pytest.mark.parametrize("shape", [(5,), (3, 3), (8, 8, 2), (600, 8), (8, 8, 3, 2)])
def test_what_is_no_image_is_not_shown(shape):
    assert report(Y, P, x=np.zeros((150, *shape))).images == ()


def test_other_inputs_are_not_shown():
    for x in ({"a": IMAGES}, [IMAGES, IMAGES[:, :4]], np.array(["text"] * 150), object()):
        assert report(Y, P, x=x).images == ()
    assert report(*members_of(0, task="regression"), x=IMAGES).images == ()
    assert len(report(Y, P, x=list(IMAGES)).images) == doubt.SHOWN


def test_names_of_any_signs_are_drawn():
    names = ["$x^$", "猫", "a\\frac{b", "50% & <b>"]
    page = report(Y, P, run={"data": {"classes": names}}, x=np.zeros((150, 8, 8)))._repr_html_()
    (drawn,) = [one for alt, one in pictures(page).items() if alt.startswith("Labels against predictions")]
    for name in ("$x^$", "猫", "a\\frac{b", "50% &amp; &lt;b&gt;"):
        assert name in drawn
    assert "currentColor" in drawn  # names follow the reader's theme
    assert "<b>" not in page
