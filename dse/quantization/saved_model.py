"""A saved Keras model as the int8 file that it becomes, converted in a child process: `python -m ... FILE OUT`.

TensorFlow's converter ends the process that it runs in where it is given what it does not expect, such as the loop of
an LSTM.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from dse._util.child import module_command
from dse.errors import DseError, ExportError

MODULE = "dse.quantization.saved_model"
NOISE_IMAGES = 4  # the cost alone is asked for
MISTAKE = 2  # exit code of the child for what its user can mend: the message is its last line


def int8_of_keras(path: Path) -> bytes:
    """The int8 file of a saved Keras model. Raises ExportError.

    Activation ranges are those of random images: they decide how well the file computes, and nothing of what it costs.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.tflite"
        command = module_command(MODULE, str(path), str(out))
        child = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        last = (child.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        if child.returncode == 0:
            return out.read_bytes()
    if child.returncode == MISTAKE:
        raise ExportError(last)
    if -child.returncode in (signal.SIGSEGV, signal.SIGABRT):
        raise ExportError(
            f"{path}: TensorFlow's converter broke down ({signal.Signals(-child.returncode).name}), as it does for the "
            "loop in an LSTM or GRU: build these layers with unroll=True and an input of fixed length, and save again"
        )
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise ExportError(f"{path}: the conversion was ended ({name}); the system does so where memory is short")
    raise ExportError(f"{path}: the conversion failed (exit {child.returncode}): {last[-300:]}")


def _convert(path: Path) -> bytes:
    """The int8 file of a saved Keras model. Raises FileError, ExportError."""
    from dse._util.quiet import quiet_tensorflow

    quiet_tensorflow()
    import keras
    import numpy as np

    from dse.quantization.convert import to_int8
    from dse.training.keras_file import load_keras

    model = load_keras(path)
    shape = model.inputs[0].shape[1:]
    image = keras.Input(shape, batch_size=1)
    fixed = keras.Model(image, model(image))  # without a batch of one, the converter computes shapes in the graph
    noise = np.random.default_rng(0).random((NOISE_IMAGES, *shape)).astype(np.float32)
    try:
        return to_int8(fixed, noise)
    except ExportError as error:
        raise ExportError(f"{path}: {error}") from None


def main(path: str, out: str) -> int:
    """Writes the converted file; prints what its user can mend."""
    try:
        Path(out).write_bytes(_convert(Path(path)))
    except DseError as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return MISTAKE
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
