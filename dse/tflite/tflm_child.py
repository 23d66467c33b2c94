"""The child process that runs TFLM: `python -m dse.tflite.tflm_child FOLDER PART`.

Reads model.tflite and in<PART>.npy, writes out<PART>.npy; the allocations go to stderr. It imports NumPy and
tflite_micro only.
"""

import sys
from pathlib import Path

import numpy as np
from tflite_micro import runtime

ARENA = 1 << 26


def main(folder: Path, part: str) -> None:
    """Runs every image of one part."""
    interpreter = runtime.Interpreter.from_bytes((folder / "model.tflite").read_bytes(), arena_size=ARENA)
    images = np.load(folder / f"in{part}.npy", allow_pickle=False)
    outputs = []
    for image in images:
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_output(0)).reshape(-1))
    np.save(folder / f"out{part}.npy", np.array(outputs, np.int8))
    interpreter.print_allocations()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
