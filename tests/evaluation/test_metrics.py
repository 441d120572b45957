import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from ovs3d.evaluation.metrics import ConfusionMatrix, PaperScore, PhotoScore, photo_scores, psnr, ssim, visible


def random_maps(classes: int, seed: int, views: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    maps = []
    for _ in range(views):
        label = torch.randint(-1, classes, (11, 7), generator=generator)
        other = torch.randint(0, classes, (11, 7), generator=generator)
        keep = torch.rand(11, 7, generator=generator) < 0.6
        maps.append((torch.where(keep & (label >= 0), label, other), label))
    return maps


def test_confusion_by_hand_on_two_by_two():
    matrix = ConfusionMatrix(["cat", "dog"])
    matrix.update(torch.tensor([[0, 1], [1, 0]]), torch.tensor([[0, 0], [1, -1]]))
    summary = matrix.summary()
    # Labels: cat twice (one predicted as dog), dog once; the fourth pixel is ignored although it predicts cat.
    assert matrix.counts.tolist() == [[1, 1, 0], [0, 1, 0]]
    assert summary["iou"] == {"cat": 0.5, "dog": 0.5}
    assert summary["recall"] == {"cat": 0.5, "dog": 1.0}
    assert summary["miou"] == 0.5 and summary["macc"] == 0.75
    assert summary["pixel_accuracy"] == pytest.approx(2 / 3)
    assert summary["fwiou"] == pytest.approx(2 / 3 * 0.5 + 1 / 3 * 0.5)
    assert summary["absent"] == [] and summary["labelled_pixels"] == 3


def test_frequency_weights_by_hand():
    matrix = ConfusionMatrix(["a", "b"])
    matrix.update(torch.tensor([[0, 0, 0, 0]]), torch.tensor([[0, 0, 0, 1]]))
    # IoU of a is 3/4 at a share of 3/4, of b zero.
    assert matrix.summary()["fwiou"] == pytest.approx(9 / 16)
    assert matrix.summary()["miou"] == pytest.approx(3 / 8)


def test_perfect_prediction_is_one():
    matrix, paper = ConfusionMatrix(["a", "b", "c"]), PaperScore(["a", "b", "c"])
    label = torch.tensor([[0, 1, 2, 2]])
    matrix.update(label, label)
    paper.update(label, label)
    summary = matrix.summary()
    assert {summary[name] for name in ("miou", "macc", "fwiou", "pixel_accuracy")} == {1.0}
    assert paper.summary() == {"miou_paper": 1.0, "accuracy_paper": 1.0}


@pytest.mark.filterwarnings("ignore:Jaccard is ill-defined")
@pytest.mark.parametrize("classes", [2, 5, 40])
def test_confusion_equals_sklearn_over_all_views(classes):
    names = [f"c{index}" for index in range(classes)]
    matrix, maps = ConfusionMatrix(names), random_maps(classes, seed=classes)
    for predicted, label in maps:
        matrix.update(predicted, label)
    predicted = np.concatenate([view[0].flatten().numpy() for view in maps])
    label = np.concatenate([view[1].flatten().numpy() for view in maps])
    predicted, label = predicted[label >= 0], label[label >= 0]
    assert np.array_equal(matrix.counts[:, :-1].numpy(), confusion_matrix(label, predicted, labels=range(classes)))
    summary = matrix.summary()
    iou = np.array([jaccard_score(label == index, predicted == index) for index in range(classes)])
    present = np.bincount(label, minlength=classes) > 0
    assert np.array(list(summary["iou"].values()))[present].tolist() == pytest.approx(iou[present].tolist())
    assert summary["miou"] == pytest.approx(iou[present].mean())
    assert summary["absent"] == [name for name, there in zip(names, present, strict=True) if not there]
    weighted = jaccard_score(label, predicted, labels=range(classes), average="weighted")
    assert summary["fwiou"] == pytest.approx(weighted)
    assert summary["pixel_accuracy"] == pytest.approx(accuracy_score(label, predicted))


def test_renaming_classes_changes_no_mean():
    order = torch.tensor([2, 0, 3, 1])
    plain, renamed = (ConfusionMatrix(list("abcd")) for _ in range(2))
    for predicted, label in random_maps(4, seed=1):
        plain.update(predicted, label)
        renamed.update(order[predicted], torch.where(label >= 0, order[label], -1))
    for name in ("miou", "macc", "fwiou", "pixel_accuracy"):
        assert renamed.summary()[name] == pytest.approx(plain.summary()[name])
    assert renamed.summary()["iou"]["c"] == pytest.approx(plain.summary()["iou"]["a"])


def test_a_class_without_labels_is_left_out_and_its_predictions_are_errors():
    matrix = ConfusionMatrix(["a", "ghost", "b"])
    matrix.update(torch.tensor([[0, 1, 2, 2]]), torch.tensor([[0, 0, 2, 2]]))
    summary = matrix.summary()
    assert summary["absent"] == ["ghost"] and math.isnan(summary["iou"]["ghost"])
    assert summary["iou"]["a"] == 0.5 and summary["miou"] == 0.75 and summary["pixel_accuracy"] == 0.75


def test_a_pixel_without_prediction_is_an_error_of_its_true_class():
    matrix = ConfusionMatrix(["a", "b"])
    matrix.update(torch.tensor([[-1, 0, 1, -1]], dtype=torch.int32), torch.tensor([[0, 0, 1, -1]]))
    assert matrix.summary()["iou"] == {"a": 0.5, "b": 1.0}
    assert matrix.summary()["pixel_accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("label", [torch.zeros(0, 0, dtype=torch.int64), torch.full((2, 2), -1)])
def test_nothing_labelled_is_not_a_number_and_lists_every_class(label):
    matrix = ConfusionMatrix(["a", "b"])
    matrix.update(torch.zeros_like(label), label)
    summary = matrix.summary()
    assert all(math.isnan(summary[name]) for name in ("miou", "macc", "fwiou", "pixel_accuracy"))
    assert summary["absent"] == ["a", "b"] and summary["labelled_pixels"] == 0
    paper = PaperScore(["a", "b"])
    paper.update(torch.zeros_like(label), label)
    assert all(math.isnan(value) for value in paper.summary().values())


@pytest.mark.parametrize("bad", [-2, 2, 255])
@pytest.mark.parametrize("metric", [ConfusionMatrix, PaperScore])
def test_indices_out_of_range_are_refused(metric, bad):
    good = torch.zeros(1, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match=f"label .*{bad}"):
        metric(["a", "b"]).update(good, good + bad)
    with pytest.raises(ValueError, match=f"predicted .*{bad}"):
        metric(["a", "b"]).update(good + bad, good)


def test_paper_score_equals_sklearn_per_view_and_class():
    classes, maps = 6, random_maps(3, seed=2)
    paper, values = PaperScore([f"c{index}" for index in range(classes)]), []
    for predicted, label in maps:
        # Class 3 is predicted and never labelled; 4 and 5 are neither.
        predicted[0, :3] = 3
        paper.update(predicted, label)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for index in range(classes):
                masks = (label == index).flatten().numpy(), (predicted == index).flatten().numpy()
                values.append(jaccard_score(*masks))
    assert paper.summary()["miou_paper"] == pytest.approx(np.mean(values))


def test_paper_accuracy_counts_unlabelled_pixels_as_wrong():
    paper = PaperScore(["a", "b"])
    paper.update(torch.tensor([[0, 0], [1, -1]]), torch.tensor([[0, -1], [1, -1]]))
    # a: one hit, one prediction on an unlabelled pixel; b: one hit.
    assert paper.summary() == {"miou_paper": pytest.approx(0.75), "accuracy_paper": 0.5}


def test_overlapping_masks_count_in_both_classes_but_are_never_a_hit():
    paper = PaperScore(["a", "b"])
    masks = torch.tensor([[[True, True, False]], [[False, True, False]]])
    paper.update_masks(torch.tensor([[0, 1, 1]]), masks)
    # a: first of two pixels; b: the second, and a prediction on an unlabelled pixel.
    assert paper.summary() == {"miou_paper": pytest.approx(0.5), "accuracy_paper": pytest.approx(1 / 3)}


def test_psnr_by_hand():
    photo = torch.zeros(4, 5, 3)
    assert psnr(photo + 0.1, photo) == pytest.approx(20.0, abs=1e-5)
    assert psnr(photo, photo) == math.inf


def test_pictures_that_cannot_be_measured_have_no_psnr():
    photo = torch.rand(4, 5, 3)
    assert math.isnan(psnr(photo, photo, torch.zeros(4, 5, dtype=torch.bool)))
    assert math.isnan(psnr(torch.full_like(photo, torch.nan), photo))


def test_views_without_a_visible_pixel_are_left_out_of_the_means():
    photo, score = torch.rand(16, 16, 3, generator=torch.Generator().manual_seed(0)), PhotoScore()
    assert all(math.isnan(value) for value in score.summary().values())
    hidden = score.update(photo, photo, torch.zeros(16, 16, dtype=torch.bool))
    assert math.isnan(hidden["psnr"]) and math.isnan(hidden["ssim"])
    rows = [score.update(photo + offset, photo, None) for offset in (0.1, 0.01)]
    assert rows[0]["psnr"] == pytest.approx(20.0, abs=1e-4)
    assert score.summary() == {name: pytest.approx((rows[0][name] + rows[1][name]) / 2) for name in ("psnr", "ssim")}
    score.update(torch.full_like(photo, torch.nan), photo, None)
    assert math.isnan(score.summary()["psnr"]), "a fault of the rendering is not hidden"


def test_what_lies_under_a_mask_is_not_measured():
    generator = torch.Generator().manual_seed(1)
    photo = torch.rand(32, 40, 3, generator=generator)
    rendered, mask = photo + 0.1, torch.ones(32, 40, dtype=torch.bool)
    mask[:, :20] = False
    for wrong in (0.3, 0.9):
        rendered[:, :15] = wrong  # The windows of SSIM are 11 pixels wide.
        assert psnr(rendered, photo, mask) == pytest.approx(20.0, abs=1e-5)
        assert ssim(rendered, photo, mask) == pytest.approx(ssim(photo + 0.1, photo, mask), abs=1e-6)
        scores = {"psnr": psnr(rendered, photo, mask), "ssim": ssim(rendered, photo, mask)}
        assert photo_scores(rendered, photo, mask) == scores
    whole = torch.ones_like(mask)
    assert psnr(rendered, photo, whole) == psnr(rendered, photo) < 19.0
    assert ssim(rendered, photo, whole) == pytest.approx(ssim(rendered, photo), abs=0.02)
    assert visible({"image": photo}) is None
    assert visible({"mask": mask[..., None]}) is not None


def test_ssim_is_one_for_equal_images_and_equals_skimage():
    from skimage.metrics import structural_similarity

    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(32, 40, 3, generator=generator)
    # Dark and noisy, so that the constants of the formula, which hang on the data range, matter.
    photo *= 0.1
    noisy = photo + 0.03 * torch.rand(photo.shape, generator=generator)
    assert ssim(photo, photo) == pytest.approx(1.0)
    options = {"channel_axis": -1, "data_range": 1.0, "gaussian_weights": True, "use_sample_covariance": False}
    expected = structural_similarity(photo.numpy(), noisy.numpy(), **options)
    # The two differ at the border alone.
    assert ssim(photo, noisy) == pytest.approx(expected, abs=0.002)
    assert ssim(photo, noisy) < 0.95
