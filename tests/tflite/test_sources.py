"""A model is known by what its file holds, whatever it is called; what is no model is told, with what to do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.errors import FileError
from dse.tflite.reader import read_tflite
from dse.tflite.sources import look_into
from tests.helpers.one_operator import one_operator

MODEL = one_operator("CONV_2D")


def c_source(content: bytes, name: str = "model_data") -> str:
    rows = [", ".join(f"0x{value:02x}" for value in content[at : at + 12]) for at in range(0, len(content), 12)]
    body = ",\n  ".join(rows)
    return f"""// Made by xxd -i {{5, 6}}
#include <cstdint>
const unsigned int small[] = {{1, 2, 3}};  /* not this one = {{7}} */
alignas(16) const unsigned char {name}[{len(content)}] = {{
  {body}
}};
const int {name}_len = {len(content)};
"""


@pytest.mark.parametrize("name", ["model.tflite", "model.lite", "MODEL.TFLITE", "model.tfl", "model.bin", "model"])
def test_a_model_by_any_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(MODEL)
    assert look_into(path) == ("tflite", MODEL, "")
    body = json.loads(CliRunner().invoke(cli, ["cost", str(path), "--json"]).output)
    assert body["macs"] == 9_216


@pytest.mark.parametrize("attribute", ["", " __attribute__((aligned(16)))", " DATA_ALIGN_ATTRIBUTE"])
@pytest.mark.parametrize("name", ["model_data.h", "model.cc", "model.cpp", "model.c"])
def test_a_model_as_a_c_array(name: str, attribute: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(c_source(MODEL).replace("] = {\n", f"]{attribute} = {{\n"))
    found = look_into(path)
    assert (found.kind, found.content) == ("tflite", MODEL)
    done = CliRunner().invoke(cli, ["cost", str(path), "--json"])
    assert json.loads(done.stdout)["macs"] == 9_216
    shown = CliRunner().invoke(cli, ["cost", str(path)])
    assert f"the array model_data in {path}, {len(MODEL):,} bytes" in shown.stderr


def test_decimal_numbers_are_numbers_too(tmp_path: Path) -> None:
    path = tmp_path / "model.h"
    path.write_text("const uint8_t m[] PROGMEM = {" + ",".join(map(str, MODEL)) + "};")
    assert look_into(path).content == MODEL


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("model.tflite", b"", "an empty file, expected a model"),
        ("model.tflite", b"version https://git-lfs.github.com/spec/v1\noid sha256:8cd2", "a pointer of Git LFS"),
        ("model.tflite", b"<!DOCTYPE html><html>", "a web page, not the file"),
        ("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(20), "a Keras model in HDF5: save it as .keras"),
        ("model.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX model: convert it to TFLite"),
        ("model.pt", b"PK\x03\x04" + bytes(40), "a PyTorch model: convert it to TFLite"),
        ("model.bin", b"\x7fELF" + bytes(60), "not a model that dse knows: expected .tflite, a C array"),
        ("model.gz", b"\x1f\x8b\x08" + bytes(20), "packed with gzip: unpack it first"),
    ],
)
def test_what_is_no_model_is_told(name: str, content: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileError, match=text):
        look_into(path)
    done = CliRunner().invoke(cli, ["cost", str(path)])
    assert done.exit_code != 0
    assert not done.stdout


def test_archives_and_texts(tmp_path: Path) -> None:
    for name in ("model.keras", "models.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("config.json", "{}")
    assert look_into(tmp_path / "model.keras").kind == "keras"
    with pytest.raises(FileError, match="a ZIP archive: unpack it"):
        look_into(tmp_path / "models.zip")
    (tmp_path / "space.yaml").write_text("space: mine\n")
    (tmp_path / "candidate").write_text('{"blocks": []}')
    assert (look_into(tmp_path / "space.yaml").kind, look_into(tmp_path / "candidate").kind) == ("text", "candidate")


def test_a_file_without_its_identifier_is_read_as_tflm_does() -> None:
    anonymous = MODEL[:4] + bytes(4) + MODEL[8:]
    assert read_tflite(anonymous) == read_tflite(MODEL)
    with pytest.raises(FileError, match="bytes 4 to 8 are b' a i', expected b'TFL3'"):
        read_tflite(b"this a is not one at all, and it is long enough to be read", "x.tflite")


def test_a_model_that_does_nothing(tmp_path: Path) -> None:
    """TFLM allocates 16 and 736 bytes for an input that is the output."""
    from dse.cost.report import estimate_graph
    from dse.cost.tflm.graph import OperatorGraph, Tensor

    report = estimate_graph(OperatorGraph((Tensor("INT8", (1, 4)),), (), (0,), (0,)), 256)
    assert (report.arena_head_bytes, report.macs, report.peak_operator) == (16, 0, "input")
