"""Golden vectors: images as int8 input, and exactly what TensorFlow Lite Micro makes of them."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dse._util.files import write_atomic
from dse.errors import FileError

MAX_FILE_BYTES = 64 << 20


@dataclass(frozen=True)
class Golden:
    """int8 inputs (count, height, width, channels) and int8 outputs (count, classes).

    `indices` are the numbers of the test images, or -1 for one that was generated; `source` is one line about them.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    indices: np.ndarray
    source: str


def save_golden(path: Path, golden: Golden) -> None:
    """Writes them as a NumPy archive."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, inputs=golden.inputs, outputs=golden.outputs, indices=golden.indices, source=np.array(golden.source)
    )
    write_atomic(path, buffer.getvalue())


def plain(text: str) -> str:
    """The beginning of a text that a file may have written, as it may stand on a terminal."""
    return text.encode("ascii", "backslashreplace").decode()[:200]


def load_golden(path: Path) -> Golden:
    """The golden vectors in a file. Raises FileError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_FILE_BYTES:
                raise ValueError("too large")
        with np.load(path, allow_pickle=False) as values:
            golden = Golden(values["inputs"], values["outputs"], values["indices"], str(values["source"]))
    except Exception as error:  # a damaged archive raises many kinds, of zlib, of NumPy, of its parser; MemoryError too
        raise FileError(str(path), None, "", f"no golden vectors: {plain(str(error))}") from None
    count = len(golden.inputs) if golden.inputs.ndim == 4 else 0
    kinds = {golden.inputs.dtype, golden.outputs.dtype}
    if kinds != {np.dtype(np.int8)} or golden.outputs.ndim != 2 or len(golden.outputs) != count or not count:
        raise FileError(str(path), None, "", f"no golden vectors: {golden.inputs.shape} to {golden.outputs.shape}")
    if golden.indices.dtype.kind != "i" or golden.indices.shape != (count,) or golden.indices.min() < -1:
        raise FileError(str(path), None, "", f"no golden vectors: indices of shape {golden.indices.shape}")
    return golden
