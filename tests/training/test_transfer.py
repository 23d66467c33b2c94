"""Weights of other networks: which layers take them, what is refused, and the recipe in two phases."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from dse.data.datasets import Data
from dse.data.images import Images, to_float
from dse.errors import DataError, NetworkError, TrialError
from dse.network.candidate import Candidate
from dse.network.training import Training
from dse.quantization.timing import with_plausible_weights
from dse.references.networks import load_reference
from dse.search.workers.trial import run_trial
from dse.space.single import space_of
from dse.space.space import Defaults, load_space, parse_space
from dse.training.context import EpochReport, TrainingContext
from dse.training.model import build_model
from dse.training.recipe import HEAD_DONE, HEAD_WEIGHTS, train_candidate
from dse.training.sources import CANDIDATE, WEIGHTS, WeightSource, read_source, read_sources
from dse.training.transfer import start_from, take_weights, to_unit_range
from dse.training.weights import weights_bytes
from tests.helpers.networks import family_space, only_candidate

pytestmark = pytest.mark.keras

SMALL = family_space("bneck", "{expansion: 2}")


def saved(folder: Path, candidate: Candidate, model: keras.Model) -> Path:
    """A trained candidate as a run keeps it."""
    folder.mkdir(parents=True)
    (folder / CANDIDATE).write_text(candidate.to_json())
    (folder / WEIGHTS).write_bytes(weights_bytes(model))
    return folder


def same_weights(model: keras.Model, other: keras.Model, names: list[str]) -> bool:
    return all(
        np.array_equal(a, b)
        for name in names
        for a, b in zip(model.get_layer(name).get_weights(), other.get_layer(name).get_weights(), strict=True)
    )


def test_a_candidate_with_other_classes_takes_all_but_the_classes(tmp_path: Path) -> None:
    old, new = only_candidate(SMALL), SMALL.sample(np.random.default_rng(0), Defaults(classes=2))[1]
    source = with_plausible_weights(build_model(old.network, seed=3))
    model = build_model(new.network, seed=4)
    taken = start_from(model, read_source(str(saved(tmp_path / "big", old, source))))
    assert taken.new == ["head_classes"]
    assert same_weights(model, source, taken.taken)
    assert len(taken.taken) == sum(bool(layer.weights) for layer in model.layers) - 1


def test_a_keras_file_is_followed_layer_by_layer(tmp_path: Path) -> None:
    """One of keras.applications, as a file of somebody else: other names, and nothing of ours in it."""
    candidate = load_reference("mobilenet_v2_vww").candidate(classes=2)
    other = keras.applications.MobileNetV2(input_shape=(96, 96, 3), alpha=0.35, weights=None, classes=1000)
    other.save(tmp_path / "other.keras")
    model = build_model(candidate.network, seed=4)
    taken = start_from(model, read_source(str(tmp_path / "other.keras")))
    assert taken.new == ["head_classes"]
    image = np.random.default_rng(0).random((1, 96, 96, 3)).astype(np.float32)
    inside = keras.Model(other.inputs, other.get_layer("out_relu").output)
    ours = keras.Model(model.inputs, model.get_layer("head_conv_relu6").output)
    np.testing.assert_allclose(ours.predict(image, verbose=0), inside.predict(image, verbose=0), atol=1e-5)


def test_imagenet_weights_are_for_images_around_zero() -> None:
    """The first layer is changed to take [0, 1]: the same values but at the edge, where their zeros were grey."""
    rng = np.random.default_rng(0)
    other = with_plausible_weights(keras.applications.MobileNetV2(input_shape=(96, 96, 3), alpha=0.35, weights=None))
    candidate = load_reference("mobilenet_v2_vww").candidate(classes=2)
    model = build_model(candidate.network)
    take_weights(model, other, "x")
    layers = [layer for layer in model.layers if layer.weights]
    to_unit_range(layers[0], layers[1])
    image = rng.random((1, 96, 96, 3)).astype(np.float32)
    theirs = keras.Model(other.inputs, other.get_layer("bn_Conv1").output).predict(2 * image - 1, verbose=0)
    ours = keras.Model(model.inputs, layers[1].output).predict(image, verbose=0)
    np.testing.assert_allclose(ours[:, :-1, :-1], theirs[:, :-1, :-1], atol=1e-4)


def test_imagenet_weights_that_cannot_be_had_are_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.config, "keras_home", lambda: str(tmp_path), raising=False)

    def no_network(*args: object, **kwargs: object) -> None:
        raise Exception("URL fetch failure on https://...: None -- Name or service not known")

    monkeypatch.setattr("keras.src.applications.mobilenet_v2.file_utils.get_file", no_network)
    model = build_model(load_reference("mobilenet_v2_vww").candidate(classes=2).network)
    with pytest.raises(
        TrialError, match=r"imagenet: the weights of MobileNetV2 at width 0\.35 cannot be had: URL fetch"
    ):
        start_from(model, read_source("imagenet"))
    with pytest.raises(TrialError, match=r"there are weights of MobileNetV2 at widths .*this network is none of them"):
        start_from(build_model(only_candidate(SMALL).network), read_source("imagenet"))


def test_what_is_no_trained_network_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nothing: cannot be read: No such file.*expected a .keras file, the folder of"
    ):
        read_source(str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"no trained candidate, candidate.json and model.weights.h5 missing"):
        read_source(str(tmp_path))
    (tmp_path / "text.keras").write_text("no zip")
    with pytest.raises(DataError, match="not a Keras model"):
        read_source(str(tmp_path / "text.keras"))
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("x", "y")
    model = build_model(only_candidate(SMALL).network)
    with pytest.raises(TrialError, match=r"empty.keras: not a Keras model"):
        start_from(model, read_source(str(tmp_path / "empty.keras")))
    pair = keras.Input((8, 8, 3))
    keras.Model(pair, [pair, keras.layers.Flatten()(pair)]).save(tmp_path / "pair.keras")
    with pytest.raises(TrialError, match=r"pair.keras: expected one input of .*, came 1 of \(8, 8, 3\) and 2 of \(8,"):
        start_from(model, read_source(str(tmp_path / "pair.keras")))
    cut = WeightSource("models/cut", b"x", only_candidate(SMALL).to_json())
    with pytest.raises(
        TrialError, match=r"^models/cut: not the weights of candidate \w+: Unable to synchronously open"
    ):
        start_from(model, cut)
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 7), keras.layers.Flatten()])
    other.save(tmp_path / "other.keras")
    with pytest.raises(
        TrialError, match=r"none of its weights fit: its first layer is conv2d\w* with weights of \(7, 7,"
    ):
        start_from(model, read_source(str(tmp_path / "other.keras")))


def transferred(settings: Training) -> tuple[Candidate, keras.Model, dict[str, WeightSource]]:
    """A candidate of two classes that begins with the weights of one of ten."""
    old = only_candidate(SMALL)
    source = with_plausible_weights(build_model(old.network, seed=3))
    new = SMALL.sample(np.random.default_rng(0), Defaults(classes=2, training=settings))[1]
    return new, source, {"big": WeightSource("big", weights_bytes(source), old.to_json())}


def two_classes(data: Data, count: int) -> tuple[Images, Images]:
    parts = []
    for part, size in ((data.train, count), (data.validation, 50)):
        labels = (part.labels[:size] >= 5).astype(np.int64)
        parts.append(Images(part.images[:size], labels))
    return parts[0], parts[1]


def test_the_head_is_trained_first_and_then_all_but_batch_norm(sample_data: Data) -> None:
    settings = Training(pretrained="big", epochs=1, head_epochs=2, batch_size=50)
    candidate, source, sources = transferred(settings)
    train, validation = two_classes(sample_data, 100)
    told: list[int] = []
    model, history = train_candidate(
        candidate, train, validation, TrainingContext(0, sources=sources, on_epoch=lambda epoch, *_: told.append(epoch))
    )
    assert told == [1, 2, 3]
    assert len(history["val_accuracy"]) == 3
    kept = [layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert same_weights(model, source, kept)
    assert not same_weights(model, source, ["b1_bneck_project"])
    head_only = candidate.training.model_copy(update={"fine_tuning_rate": 1e-12})
    frozen, _ = train_candidate(
        dataclasses.replace(candidate, training=head_only), train, validation, TrainingContext(0, sources=sources)
    )
    kernels = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert all(
        np.allclose(a, b, atol=1e-6)
        for name in kernels
        for a, b in zip(frozen.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True)
    )
    assert all(layer.trainable for layer in model.layers)


def test_the_head_stops_early_and_is_not_trained_again(sample_data: Data, tmp_path: Path) -> None:
    settings = Training(pretrained="big", epochs=1, head_epochs=9, head_patience=1, batch_size=50, learning_rate=1.0)
    candidate, _, sources = transferred(settings)
    train, validation = two_classes(sample_data, 100)
    told: list[tuple[int, int]] = []

    def run(on_epoch: EpochReport) -> None:
        context = TrainingContext(0, sources=sources, checkpoint=tmp_path / "c", on_epoch=on_epoch)
        train_candidate(candidate, train, validation, context)

    run(lambda epoch, epochs, _: told.append((epoch, epochs)))
    head = json.loads((tmp_path / "c" / HEAD_DONE).read_text())["epochs"]
    assert head < 9  # at this rate the loss soon rises
    assert told == [*((epoch, 10) for epoch in range(1, head + 1)), (head + 1, head + 1)]
    assert (tmp_path / "c" / HEAD_WEIGHTS).is_file()
    again: list[int] = []
    run(lambda epoch, *_: again.append(epoch))
    assert again == []


def test_a_kill_in_the_head_costs_no_epoch_of_what_follows(sample_data: Data, tmp_path: Path) -> None:
    settings = Training(pretrained="big", epochs=2, head_epochs=3, head_patience=3, batch_size=50)
    candidate, _, sources = transferred(settings)
    train, validation = two_classes(sample_data, 100)

    def run(folder: str, stop_at: int | None = None) -> tuple[list[int], list[float]]:
        told: list[int] = []

        def report(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
            told.append(epoch)
            if epoch == stop_at:
                raise KeyboardInterrupt

        try:
            _, history = train_candidate(
                candidate,
                train,
                validation,
                TrainingContext(0, sources=sources, checkpoint=tmp_path / folder, on_epoch=report),
            )
        except KeyboardInterrupt:
            return told, []
        return told, history["loss"]

    whole = run("whole")
    assert whole[0] == [1, 2, 3, 4, 5]
    for folder, stop_at in (("head", 2), ("last of the head", 3), ("behind it", 4)):
        assert run(folder, stop_at)[0][-1] == stop_at
        told, losses = run(folder)
        assert told[-1] == 5
        assert losses[-1] == pytest.approx(whole[1][-1], rel=1e-4)


def test_batch_norm_is_not_taken_without_its_convolution() -> None:
    old = only_candidate(family_space("conv", "{kernel: 3}"))
    new = only_candidate(family_space("conv", "{kernel: 5}"))
    model, source = build_model(new.network), with_plausible_weights(build_model(old.network))
    taken = take_weights(model, source, "x")
    assert "b1_conv_conv" in taken.new
    assert "b1_conv_conv_bn" in taken.new
    assert {"b0_conv_conv", "b0_conv_conv_bn", "head_conv"} <= set(taken.taken)


def test_a_network_that_is_all_there_goes_on_as_a_whole(sample_data: Data) -> None:
    old = only_candidate(SMALL)
    source = with_plausible_weights(build_model(old.network, seed=3))
    settings = Training(pretrained="big", epochs=1, batch_size=50)
    candidate = dataclasses.replace(old, training=settings)
    sources = {"big": WeightSource("big", weights_bytes(source), old.to_json())}
    model, history = train_candidate(
        candidate, sample_data.train.first(100), sample_data.validation, TrainingContext(0, sources=sources)
    )
    assert len(history["loss"]) == 1
    norms = [layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert not same_weights(model, source, norms)


def test_a_trial_without_fitting_weights_has_failed(sample_data: Data) -> None:
    text = "space: x\nstem: {block: conv, channels: 24, kernel: 5}\nstages: [{block: conv, channels: 24}]\n"
    candidate = only_candidate(parse_space(text + "training: {pretrained: big, epochs: 1}\n", "x.yaml"))
    other = only_candidate(SMALL)
    sources = {"big": WeightSource("big", weights_bytes(build_model(other.network)), other.to_json())}
    data = dataclasses.replace(sample_data, train=sample_data.train.first(50))
    with pytest.raises(TrialError, match="big: none of its weights fit: its first layer is b0_conv_conv"):
        run_trial(candidate, data, TrainingContext(0, sources=sources), accuracy="float")


def test_sources_of_a_space_and_settings_without_effect() -> None:
    text = SMALL.document.text
    space = parse_space(text + "training: {teacher: {choice: ['', big, huge]}, temperature: 2}\n", "s.yaml")
    assert space.sources() == ["big", "huge"]
    assert space.sources(Defaults(training=Training(pretrained="old"))) == ["old", "big", "huge"]
    values, plain = SMALL.sample(np.random.default_rng(0))
    assert space.build(values | {"training.teacher": ""}).id == plain.id
    taught = space.build(values | {"training.teacher": "big"})
    assert taught.training.to_dict()["temperature"] == 2
    assert Candidate.from_json(taught.to_json()).id == taught.id
    with pytest.raises(NetworkError):
        space.build(values | {"training.teacher": "bigger"})
    assert load_space("vww").sources() == []
    assert list(read_sources(["imagenet", "imagenet"])) == ["imagenet"]
    idle = parse_space(text + "training: {temperature: 2, sparsity: 0.5}\n", "s.yaml")
    assert idle.idle_settings() == [
        "training.sparsity has no effect without training.pretrained",
        "training.temperature has no effect without training.teacher",
    ]
    assert space.idle_settings() == []
    assert space_of(plain, "s", "written out, with all its settings").idle_settings() == []


def test_a_model_gives_what_its_source_gave(sample_data: Data, tmp_path: Path) -> None:
    candidate = only_candidate(SMALL)
    source = with_plausible_weights(build_model(candidate.network, seed=3))
    model = build_model(candidate.network, seed=9)
    start_from(model, read_source(str(saved(tmp_path / "a", candidate, source))))
    images = to_float(sample_data.test.images[:8])
    np.testing.assert_allclose(model.predict(images, verbose=0), source.predict(images, verbose=0), atol=1e-5)
