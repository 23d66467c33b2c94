"""What a file holds that a person calls a model, by its content: a TFLite file, one as a C array, another thing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

from dse._util.files import first_bytes
from dse.errors import FileError
from dse.tflite.reader import IDENTIFIER, MAX_FILE_BYTES

Kind = Literal["tflite", "keras", "candidate", "text"]
MAX_TEXT_BYTES = 8 * MAX_FILE_BYTES  # a byte of a C array takes five letters or six
ARRAY = re.compile(rb"(\w+)\s*\[[^\[\]]{0,80}\]\s*(?:[\w()\s,]{0,200})?=\s*\{([^{}]*)\}")
NUMBER = re.compile(rb"0[xX][0-9a-fA-F]{1,2}|\d{1,3}")
COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)
SUFFIXES = (".tflite", ".lite", ".tfl")  # of files that are taken for a model whatever they hold
# What a file begins with, what it is then, and what to do.
BEGINNINGS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: 'git lfs pull' gets it",
    b"\x89HDF\r\n\x1a\n": "a Keras model in HDF5: save it as .keras with Keras 3, which dse reads",
    b"\x1f\x8b": "packed with gzip: unpack it first",
    b"<!DOCTYPE": "a web page, not the file: download it by its raw address",
    b"<!doctype": "a web page, not the file: download it by its raw address",
    b"<html": "a web page, not the file: download it by its raw address",
}
BY_SUFFIX = {
    ".onnx": "an ONNX model: convert it to TFLite, in int8, first",
    ".pt": "a PyTorch model: convert it to TFLite, in int8, first",
    ".pth": "a PyTorch model: convert it to TFLite, in int8, first",
    ".pb": "a TensorFlow graph: convert it to TFLite, in int8, first",
    ".h5": "a Keras model in HDF5: save it as .keras with Keras 3, which dse reads",
}


class Found(NamedTuple):
    """What a file holds."""

    kind: Kind
    content: bytes = b""  # of a TFLite file
    about: str = ""  # what a person should know of where it was


def look_into(path: Path) -> Found:
    """What a file holds. Raises FileError for one that cannot be read, or is known to be no model."""
    content = first_bytes(path, MAX_TEXT_BYTES + 1)
    if not content:
        raise FileError(str(path), None, "", "an empty file, expected a model")
    if content[4:8] == IDENTIFIER:
        return Found("tflite", content[: MAX_FILE_BYTES + 1])
    suffix = path.suffix.lower()
    what = next((what for beginning, what in BEGINNINGS.items() if content.startswith(beginning)), "")
    if what := what or BY_SUFFIX.get(suffix, ""):
        raise FileError(str(path), None, "", what)
    if content.startswith(b"PK\x03\x04"):
        if suffix == ".keras" or b"model.weights.h5" in content:
            return Found("keras")
        raise FileError(str(path), None, "", "a ZIP archive: unpack it and name the model in it")
    if suffix in SUFFIXES:
        return Found("tflite", content[: MAX_FILE_BYTES + 1])
    if suffix == ".keras":
        return Found("keras")
    if b"\0" in content[:4096]:
        what = "not a model that dse knows: expected .tflite, a C array of one, or .keras"
        raise FileError(str(path), None, "", what)
    if suffix not in (".json", ".yaml", ".yml") and (array := _array(content)):
        name, found = array
        return Found("tflite", found, f"the array {name} in {path}")
    return Found("candidate" if suffix == ".json" or content.lstrip()[:1] == b"{" else "text")


def _array(text: bytes) -> tuple[str, bytes] | None:
    """Name and bytes of the TFLite file that stands in C source as an array; None where there is none."""
    for name, body in ARRAY.findall(COMMENT.sub(b" ", text)):
        values = [int(number, 16 if number[:2] in (b"0x", b"0X") else 10) for number in NUMBER.findall(body)]
        if len(values) > 8 and max(values) < 256 and bytes(values[4:8]) == IDENTIFIER:
            return name.decode("ascii", "replace"), bytes(values)
    return None
