"""Training: augmentation, seeds, checkpoints, broken losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dse.data.datasets import Data
from dse.data.images import Images
from dse.errors import TrialError
from dse.network.candidate import Candidate
from dse.network.training import Training
from dse.search.workers.trial import run_trial
from dse.training.augmentation import augment, draw
from dse.training.batches import Batches, class_weights
from dse.training.context import TrainingContext
from dse.training.loop import train
from dse.training.model import build_model
from dse.training.optimizers import make_optimizer
from tests.helpers.networks import family_space, only_candidate

pytestmark = pytest.mark.keras

SHORT = Training(epochs=2, batch_size=50)


def augmented(images: np.ndarray, how: str, seed: int = 0) -> np.ndarray:
    height, width = images.shape[1:3]
    return augment(images, draw(how, len(images), (height, width), np.random.default_rng(seed)))


def test_flip_mirrors_about_half() -> None:
    images = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(1, 2, 2, 3).repeat(200, 0)
    flipped = augmented(images, "flip")
    mirrored = (flipped == images[:, :, ::-1]).all((1, 2, 3))
    assert ((flipped == images).all((1, 2, 3)) | mirrored).all()
    assert 70 < mirrored.sum() < 130


def test_crop_moves_within_an_eighth() -> None:
    images = np.zeros((64, 32, 32, 3), np.uint8)
    images[:, 16, 16] = 255
    rows, columns = np.nonzero(augmented(images, "flip_crop")[..., 0])[1:]
    assert len(rows) == 64
    assert (rows.min(), rows.max()) == (12, 20)
    assert columns.min() >= 11
    assert columns.max() <= 20


def test_none_changes_nothing() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    assert augmented(images, "none") is images


def test_batches_depend_on_seed_and_epoch_alone(sample_data: Data) -> None:
    one, same, other = (Batches(sample_data.train.first(100), SHORT, seed) for seed in (1, 1, 2))
    assert len(one) == 2
    assert np.array_equal(one[0][0], same[0][0])
    assert not np.array_equal(one[0][1], other[0][1])
    before = one[0][1]
    one.start(1)
    assert not np.array_equal(one[0][1], before)
    same.start(1)
    assert np.array_equal(one[0][0], same[0][0])


def test_same_seed_same_training(sample_data: Data) -> None:
    candidate = only_candidate(family_space("conv"))

    def losses(seed: int) -> list[float]:
        model = build_model(candidate.network, seed=seed)
        return train(model, sample_data.train.first(200), SHORT, TrainingContext(seed))["loss"]

    assert losses(1) == pytest.approx(losses(1), rel=1e-5)
    assert losses(1) != pytest.approx(losses(2), rel=1e-5)


def test_a_broken_loss_is_a_reason(sample_data: Data) -> None:
    candidate = only_candidate(family_space("conv"))
    wild = Training(epochs=3, batch_size=50, learning_rate=10.0, optimizer="sgd", schedule="constant", l2=1.0)
    model = build_model(candidate.network, l2=wild.l2)
    with pytest.raises(TrialError, match=r"the loss became (nan|inf) in epoch 1, batch \d+ \(learning rate 10\)"):
        train(model, sample_data.train.first(1500), wild, TrainingContext(0))


def test_training_goes_on_from_its_checkpoint(
    sample_data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that is stopped after two of four epochs and taken up again runs the last two only."""
    candidate = only_candidate(family_space("conv"))
    settings = Training(epochs=4, batch_size=50)
    data = sample_data.train.first(200)
    seen: list[int] = []
    started: list[int] = []
    start = Batches.start
    monkeypatch.setattr(Batches, "start", lambda self, epoch: (started.append(epoch), start(self, epoch))[1])

    class Killed(Exception):
        pass

    def stop_in_the_third(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        seen.append(epoch)
        if epoch == 3:
            raise Killed

    model = build_model(candidate.network, seed=1)
    with pytest.raises(Killed):
        train(model, data, settings, TrainingContext(1, checkpoint=tmp_path / "c", on_epoch=stop_in_the_third))
    again: list[int] = []
    fresh = build_model(candidate.network, seed=9)
    train(
        fresh,
        data,
        settings,
        TrainingContext(1, checkpoint=tmp_path / "c", on_epoch=lambda epoch, *_: again.append(epoch)),
    )
    assert seen == [1, 2, 3]
    assert again == [3, 4]
    assert started == [0, 0, 1, 2, 0, 2, 3]  # when made, then epoch by epoch: the order of each is its own

    straight = build_model(candidate.network, seed=1)
    train(straight, data, settings, TrainingContext(1))
    for one, other in zip(straight.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_a_later_step_has_epochs_of_its_own(sample_data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other orders and other changes than those of the steps before it, and numbers that go on."""
    candidate = only_candidate(family_space("conv"))
    started: list[int] = []
    start = Batches.start
    monkeypatch.setattr(Batches, "start", lambda self, epoch: (started.append(epoch), start(self, epoch))[1])
    told: list[tuple[int, int]] = []
    context = TrainingContext(1, epochs_earlier=6, on_epoch=lambda epoch, epochs, _: told.append((epoch, epochs)))
    model = build_model(candidate.network, seed=1)
    train(model, sample_data.train.first(200), Training(epochs=2, batch_size=100), context)
    assert started == [0, 6, 7]
    assert told == [(7, 8), (8, 8)]


def test_a_torn_checkpoint_begins_anew(sample_data: Data, tmp_path: Path) -> None:
    """Cut off while it was written: the weights, or the note of the epoch."""
    candidate = quick_candidate()
    whole = run_trial(candidate, sample_data, TrainingContext(0, checkpoint=tmp_path / "c"), accuracy="float")
    files = [path for path in (tmp_path / "c").iterdir() if path.is_file()]
    assert len(files) >= 2
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        again = run_trial(candidate, sample_data, TrainingContext(0, checkpoint=tmp_path / "c"), accuracy="float")
        assert again.accuracy_float == pytest.approx(whole.accuracy_float, abs=0.02)


def test_a_kill_after_the_last_epoch_costs_no_epoch(sample_data: Data, tmp_path: Path) -> None:
    candidate = quick_candidate()
    whole = run_trial(candidate, sample_data, TrainingContext(0, checkpoint=tmp_path / "c"), accuracy="float")
    epochs: list[int] = []
    again = run_trial(
        candidate,
        sample_data,
        TrainingContext(0, checkpoint=tmp_path / "c", on_epoch=lambda e, *_: epochs.append(e)),
        accuracy="float",
    )
    assert epochs == []
    assert again.accuracy_float == whole.accuracy_float


def quick_candidate() -> Candidate:
    small = only_candidate(family_space("conv"))
    return Candidate.make(small.input_shape, 10, small.blocks, small.head, Training(epochs=2, batch_size=200))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "nadam", "sgd"])
def test_every_optimizer_and_schedule_runs(optimizer: str, sample_data: Data) -> None:
    model = build_model(only_candidate(family_space("depthwise")).network)
    settings = Training(
        epochs=1,
        optimizer=optimizer,  # type: ignore[arg-type]
        schedule="constant" if optimizer == "sgd" else "cosine",
        label_smoothing=0.1,
        augment="flip",
    )
    assert np.isfinite(train(model, sample_data.train.first(100), settings, TrainingContext(0))["loss"]).all()


def test_pipeline_scores_float_and_int8(sample_data: Data) -> None:
    candidate = only_candidate(family_space("conv"))
    candidate = type(candidate).make(
        candidate.input_shape, 10, candidate.blocks, candidate.head, Training(epochs=2, batch_size=50)
    )
    epochs: list[int] = []
    result = run_trial(
        candidate, sample_data, TrainingContext(0, on_epoch=lambda epoch, *_: epochs.append(epoch)), accuracy="int8"
    )
    assert epochs == [1, 2]
    assert len(result.history["val_accuracy"]) == 2
    assert result.accuracy_float == pytest.approx(result.history["val_accuracy"][-1], abs=1e-6)
    assert result.accuracy_int8 is not None
    assert abs(result.accuracy_int8 - result.accuracy_float) < 0.2
    assert result.weights[:4] == b"\x89HDF"
    assert run_trial(candidate, sample_data, TrainingContext(0), accuracy="float").accuracy_int8 is None


def test_rare_classes_weigh_more(sample_data: Data) -> None:
    assert class_weights(np.array([0, 0, 0, 2])).tolist() == pytest.approx([4 / 6, 2, 2])
    tenths = Images(sample_data.train.images[:100], np.arange(100) % 10)
    even = Batches(tenths, Training(class_weight="balanced"), seed=1)
    assert len(even[0]) == 3
    np.testing.assert_allclose(even[0][2], 1)  # as many of each class
    odd = Images(sample_data.train.images[:50], (np.arange(50) < 10).astype(np.int64))
    _, labels, weights = Batches(odd, Training(class_weight="balanced", batch_size=50), seed=1)[0]
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    model = build_model(only_candidate(family_space("conv")).network)
    history = train(model, odd, Training(epochs=1, class_weight="balanced"), TrainingContext(0))
    assert np.isfinite(history["loss"][0])


def test_the_rate_of_a_step_schedule() -> None:
    """A tenth from the middle of the training on, a hundredth from three quarters on."""
    optimizer = make_optimizer(Training(optimizer="sgd", learning_rate=0.1, schedule="step"), 100)
    rates = [float(optimizer._learning_rate(step)) for step in (0, 49, 51, 74, 76, 99)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_a_branch_may_begin_small() -> None:
    """The scale that ends a branch, and no other: not that of a shortcut, nor of a layer that nothing is added to."""
    candidate = only_candidate(family_space("sqnxt"))
    model = build_model(candidate.network, residual_gamma=0.1)
    gammas = {layer.name: float(layer.gamma[0]) for layer in model.layers if hasattr(layer, "gamma")}
    small = {name for name, gamma in gammas.items() if gamma < 1}
    assert small == {name for name in gammas if name.endswith("sqnxt_expand_bn")}
    assert "b2_sqnxt_shortcut_bn" in gammas
    assert Training(residual_gamma=0.1).to_dict()["residual_gamma"] == 0.1
    assert "residual_gamma" not in Training().to_dict()  # ids of before


def test_images_are_those_that_a_gather_of_pixels_gives() -> None:
    """As it was written down first, and is easiest to read; what runs copies rows."""
    images = np.random.default_rng(3).integers(0, 256, (40, 12, 10, 3)).astype(np.uint8)
    rng = np.random.default_rng(5)
    mirrored = (rng.random(40) < 0.5)[:, None, None, None]
    padded = np.pad(np.where(mirrored, images[:, :, ::-1], images), ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = rng.integers(0, 3, 40)[:, None] + np.arange(12)
    columns = rng.integers(0, 3, 40)[:, None] + np.arange(10)
    expected = padded[np.arange(40)[:, None, None], rows[:, :, None], columns[:, None, :]]
    assert np.array_equal(augmented(images, "flip_crop", seed=5), expected)
