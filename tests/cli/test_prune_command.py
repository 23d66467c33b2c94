"""dse prune: a smaller candidate, or sparse weights, as a run of one trial."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cost.report import estimate
from dse.data.datasets import Data
from dse.network.training import Training
from dse.quantization.timing import with_plausible_weights
from dse.search.run_folder import load_summary, model_folder
from dse.training.context import TrainingContext
from dse.training.model import build_model
from dse.training.recipe import train_candidate
from dse.training.sources import CANDIDATE, WEIGHTS, WeightSource
from dse.training.sparsity import compressed_bytes, make_sparse
from dse.training.weights import load_weights, weights_bytes
from tests.helpers.images import make_folders
from tests.helpers.networks import FAMILIES, family_space, only_candidate

pytestmark = pytest.mark.keras

BNECK = only_candidate(family_space("bneck", FAMILIES["bneck"]))


def zeros(model: keras.Model) -> float:
    """The share of the weights in the kernels that are pruned that are zero."""
    kernels = [
        keras.ops.convert_to_numpy(layer.kernel)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    ]
    return float(sum(np.sum(kernel == 0) for kernel in kernels) / sum(kernel.size for kernel in kernels))


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / BNECK.id
    folder.mkdir(parents=True)
    (folder / CANDIDATE).write_text(BNECK.to_json())
    model = with_plausible_weights(build_model(BNECK.network, seed=1))
    (folder / WEIGHTS).write_bytes(weights_bytes(model))
    return folder


def prune(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["prune", *arguments, "--data", "sample", "--epochs", "1"])
    assert result.exit_code == 0, result.exception or result.output
    return result.output


def test_channels_go_and_the_rest_is_trained(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [str(trained), "--macs", "60%", "--out", str(run), "--test-images", "30"]
    shown = prune(*command)
    assert "pruned: params 5,0" in shown or "pruned: params" in shown
    record = load_summary(run).records[0]
    assert record.candidate
    before, after = estimate(BNECK.network), estimate(record.candidate.network)
    assert after.macs <= 0.6 * before.macs
    said = json.loads((run / "pruned" / "pruning.json").read_text())
    assert (said["macs"], said["params"]) == ([before.macs, after.macs], [before.params, after.params])
    assert len(record.history["loss"]) == 1
    assert record.values["arena_bytes"] == after.arena_bytes
    assert (run / "bundles" / record.id / "model_int8.tflite").is_file()
    # Again, nothing is pruned or trained anew; another target in the same folder is refused.
    prune(*command, "--no-export")
    assert load_summary(run).count("complete") == 1
    refused = CliRunner().invoke(cli, ["prune", str(trained), "--macs", "50%", "--out", str(run), "--data", "sample"])
    assert "something else was pruned here; choose another --out" in str(refused.exception)


def test_sparse_weights_are_worth_something_only_when_compressed(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shown = prune(str(trained), "--sparsity", "0.8", "--out", str(run), "--test-images", "30")
    record = load_summary(run).records[0]
    assert record.candidate
    assert record.candidate.architecture == BNECK.architecture
    model = load_weights(record.candidate, model_folder(run, record.id) / WEIGHTS)
    assert zeros(model) == pytest.approx(0.8, abs=0.01)
    content = (run / "bundles" / record.id / "model_int8.tflite").read_bytes()
    assert f"{len(content):,} bytes, as without zeros; {compressed_bytes(content):,} when compressed" in shown
    assert len(content) > 0.95 * estimate(BNECK.network).flash_bytes
    assert compressed_bytes(content) < 0.7 * len(content)


def test_the_smallest_weights_are_zero_and_stay_so(sample_data: Data) -> None:
    model = with_plausible_weights(build_model(BNECK.network, seed=1))
    kernel = np.abs(model.get_layer("b1_bneck_expand").get_weights()[0])
    make_sparse(model, 0.5)
    left = model.get_layer("b1_bneck_expand").get_weights()[0]
    assert np.array_equal(left == 0, kernel <= np.median(kernel))
    depthwise = next(layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D))
    assert np.all(depthwise.get_weights()[0] != 0)
    source = WeightSource("w", weights_bytes(model), BNECK.to_json())
    settings = Training(epochs=1, batch_size=50, pretrained="w", sparsity=0.5)
    tuned, _ = train_candidate(
        dataclasses.replace(BNECK, training=settings),
        sample_data.train.first(200),
        sample_data.validation,
        TrainingContext(0, sources={"w": source}),
    )
    after = tuned.get_layer("b1_bneck_expand").get_weights()[0]
    assert np.array_equal(after == 0, left == 0)
    assert not np.array_equal(after, left)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give exactly one of --params, --macs, --memory and --sparsity"),
        (["--macs", "50%", "--params", "10k"], "give exactly one of --params, --macs, --memory and --sparsity"),
        (["--macs", "150%"], "--macs: '150%' is no share; expected a number such as 50%, above 0 and below 100"),
        (["--macs", "0.5"], "--macs: '0.5' is no amount"),
        (["--params", "50KiB"], "--params: '50KiB' is no amount"),
        (["--macs", "50%", "--board", "nowhere"], "unknown board 'nowhere'"),
        (["--memory", "1KiB"], "cannot be pruned to 1,024 bytes of arena"),
    ],
)
def test_mistakes_are_one_message(arguments: list[str], message: str, trained: Path, tmp_path: Path) -> None:
    command = ["prune", str(trained), *arguments, "--data", "sample", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, command)
    assert message in result.output + str(result.exception)
    empty = CliRunner().invoke(cli, ["prune", str(tmp_path), "--macs", "50%", "--out", str(tmp_path / "run")])
    assert "no trained candidate; expected a folder RUN/models/ID" in str(empty.exception)


def test_a_task_with_other_classes_is_refused(trained: Path, tmp_path: Path) -> None:
    task = str(make_folders(tmp_path / "pets"))
    command = ["prune", str(trained), "--sparsity", "0.5", "--out", str(tmp_path / "run"), "--task", task]
    refused = str(CliRunner().invoke(cli, command).exception)
    assert "the network knows 10 classes, and images in pets/, 40x40 has 2; name the task" in refused
    assert not (tmp_path / "run" / "run.yaml").exists()


def test_a_limit_that_holds_and_a_folder_of_another_run_are_refused(trained: Path, tmp_path: Path) -> None:
    command = ["prune", str(trained), "--params", "1M", "--out", str(tmp_path / "run")]
    assert "keeps to 1,000,000 already" in str(CliRunner().invoke(cli, command).exception)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.yaml").write_text("settings: {}")
    command[3] = "50%"
    assert "another run is there; choose another --out" in str(CliRunner().invoke(cli, command).exception)


def test_what_was_taken_away_does_not_come_back_in_int8(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prune(str(trained), "--sparsity", "0.5", "--no-export")
    run = tmp_path / "results" / f"candidate-{BNECK.id}-sparse"
    command = ["export", str(run), "--trial", "0", "--qat", "--test-images", "20"]
    assert "its weights are sparse" in str(CliRunner().invoke(cli, command).exception)
