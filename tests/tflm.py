"""What the real allocator of TensorFlow Lite Micro takes, for many files in one child process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dse.runtimes import parse_allocations

CHILD = """
import os, sys
from tflite_micro import runtime
for path in sys.argv[1:]:
    os.write(2, b"-- next file\\n")
    runtime.Interpreter.from_file(path, arena_size=1 << 26).print_allocations()
"""


def allocations(files: Mapping[str, bytes]) -> dict[str, tuple[int, int]]:
    """Head and tail that TFLM takes for every file, none of which may abort it."""
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{number}.tflite" for number in range(len(files))]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        child = subprocess.run([sys.executable, "-c", CHILD, *map(str, paths)], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-1000:]
    return dict(zip(files, map(parse_allocations, child.stderr.split("-- next file\n")[1:]), strict=True))
