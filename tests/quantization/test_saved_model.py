"""Saved Keras models: converted in a child, which may break down; what cannot be converted is one message."""

from __future__ import annotations

import subprocess
from pathlib import Path

import keras
import pytest

from dse.errors import ExportError
from dse.quantization import saved_model
from dse.quantization.saved_model import int8_of_keras
from dse.tflite.reader import read_tflite

pytestmark = pytest.mark.keras


def _refusal(model: keras.Model, folder: Path) -> str:
    model.save(folder / "model.keras")
    with pytest.raises(ExportError) as caught:
        int8_of_keras(folder / "model.keras")
    return str(caught.value).removeprefix(f"{folder / 'model.keras'}: ")


@keras.saving.register_keras_serializable()
class Mine(keras.layers.Layer):
    """A layer that only this module knows."""

    def call(self, values: keras.KerasTensor) -> keras.KerasTensor:
        return values * 2


def test_a_loop_breaks_the_converter_and_its_unrolled_form_does_not(tmp_path: Path) -> None:
    rolled = keras.Sequential([keras.Input((6, 3)), keras.layers.LSTM(4), keras.layers.Dense(2)])
    message = _refusal(rolled, tmp_path)
    assert "converter broke down (SIG" in message
    assert "unroll=True" in message
    unrolled = keras.Sequential([keras.Input((6, 3)), keras.layers.LSTM(4, unroll=True), keras.layers.Dense(2)])
    unrolled.save(tmp_path / "unrolled.keras")
    graph = read_tflite(int8_of_keras(tmp_path / "unrolled.keras"), "unrolled")
    assert "FULLY_CONNECTED" in {operator.kind for operator in graph.operators}


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "the model was never built: give it an Input"),
        (lambda: keras.Sequential([keras.Input((4,)), Mine()]), "'Mine' is code beside the file"),
    ],
)
def test_what_cannot_be_converted_is_one_message(model: object, expected: str, tmp_path: Path) -> None:
    assert callable(model)
    assert _refusal(model(), tmp_path).startswith(expected)


def test_code_of_the_working_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    model.save(tmp_path / "model.keras")
    for name in ("keras.py", "random.py"):
        (tmp_path / name).write_text("raise SystemExit('code of the folder')")
    monkeypatch.chdir(tmp_path)
    assert int8_of_keras(Path("model.keras"))[4:8] == b"TFL3"


@pytest.mark.parametrize(("sent", "expected"), [(9, "was ended (SIGKILL); the system does so where memory is short")])
def test_a_child_that_was_killed_is_no_loop(
    sent: int, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], -sent, b"", b"")
    monkeypatch.setattr(saved_model.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ExportError) as caught:
        int8_of_keras(tmp_path / "model.keras")
    assert expected in str(caught.value)


def test_a_child_that_fails_by_itself_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_model, "MODULE", "dse.no_such_module")
    with pytest.raises(ExportError, match=r"the conversion failed \(exit 1\): .*dse.no_such_module"):
        int8_of_keras(tmp_path / "model.keras")
