"""dse export --qat: a network that int8 destroys is not written, and is fine-tuned into one that is."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from dse.data.datasets import Data
from dse.errors import ExportError
from dse.export.bundle import read_bundle
from dse.export.check import check_bundle
from dse.export.report import FineTuned
from dse.export.runs import export_run
from dse.network.training import QatSettings
from dse.search.loop import search
from dse.search.run_folder import load_summary, model_folder
from dse.training.weights import load_weights
from tests.helpers.networks import family_space
from tests.helpers.quantized import stretched
from tests.helpers.searches import Watcher, settings

pytestmark = [pytest.mark.keras, pytest.mark.tflm]


def test_what_is_said_of_a_collapse_and_of_fine_tuning(
    copied_run: Path, sample_data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a network of one epoch, whose collapse is made up; the one below is real."""
    [record, *_] = load_summary(copied_run).records
    with monkeypatch.context() as patch:
        patch.setattr("dse.export.export.is_collapsed", lambda *_: True)
        with pytest.raises(ExportError, match=r"int8 collapses, from \d+\.\d% to \d+\.\d%, so it is not written: "):
            export_run(copied_run, trials=[record.number], test_images=50)
    assert not (copied_run / "bundles" / record.id / "report.json").exists()

    said: list[str] = []
    qat = QatSettings(epochs=2)
    [exported] = export_run(copied_run, trials=[record.number], test_images=50, qat=qat, note=said.append)
    assert any("fine-tuning, epoch 2/2" in text for text in said)
    quantization = exported.report.quantization
    assert isinstance(quantization, FineTuned)
    assert (quantization.method, quantization.epochs, quantization.learning_rate) == ("fine-tuned", 2, 3e-4)
    text = (exported.folder / "README.md").read_text()
    assert "before fine-tuning: int8 on LiteRT" in text
    assert "quantization-aware fine-tuning: 2 epochs at a learning rate of 0.0003" in text
    assert check_bundle(read_bundle(exported.folder), sample_data, print) == []


@pytest.mark.slow
def test_a_collapse_is_found_and_mended(sample_data: Data, tmp_path: Path) -> None:
    """With six seeds: 10 to 18 % in int8 before, 22 to 34 % after; long enough that another processor gives the same."""
    run = tmp_path / "run"
    space = family_space("separable", "{activation: relu}")
    search(settings(run, space=space, trials=1, epochs=16, explorers={"random": 1.0}), Watcher())
    [record] = load_summary(run).records
    assert record.candidate
    weights = model_folder(run, record.id) / "model.weights.h5"
    keras.backend.clear_session()
    model = load_weights(record.candidate, weights)
    stretched(model, record.candidate, 160.0, 2)
    model.save_weights(weights)

    with pytest.raises(
        ExportError, match=r"int8 collapses, from \d\d\.\d% to \d\d\.\d%, so it is not written: .* dB"
    ) as e:
        export_run(run, trials=[record.number])
    assert "separable" in str(e.value)
    assert "dse export --qat fine-tunes it in int8" in str(e.value)
    assert not (run / "bundles" / record.id / "report.json").exists()

    said: list[str] = []
    [exported] = export_run(run, trials=[record.number], qat=QatSettings(epochs=20), note=said.append)
    assert any("fine-tuning, epoch 20/20" in text for text in said)
    quantization = exported.report.quantization
    assert isinstance(quantization, FineTuned)
    assert (quantization.method, quantization.epochs, quantization.learning_rate) == ("fine-tuned", 20, 3e-4)
    assert exported.report.accuracy.tflm_int8.low_95 > quantization.before.litert_int8.high_95
    text = (exported.folder / "README.md").read_text()
    assert "before fine-tuning: int8 on LiteRT" in text
    assert "quantization-aware fine-tuning: 20 epochs at a learning rate of 0.0003" in text
    assert check_bundle(read_bundle(exported.folder), sample_data, print) == []
