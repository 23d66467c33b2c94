"""What the real allocator of TensorFlow Lite Micro takes, for many files in one child process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dse.cost.tflm.graph import OperatorGraph
from dse.cost.tflm.planner import greedy_offsets, head_of, lifetimes
from dse.tflite.interpreters import parse_allocations

CHILD = """
import os, sys
from tflite_micro import runtime
for path, arena in zip(sys.argv[1::2], sys.argv[2::2]):
    os.write(2, b"-- next file\\n")
    runtime.Interpreter.from_file(path, arena_size=int(arena)).print_allocations()
"""
AMPLE = 1 << 26


def head_bytes(graph: OperatorGraph) -> int:
    """Bytes of head that TFLM should take for a graph as it stands."""
    tensors = lifetimes(graph)
    return head_of(tensors, greedy_offsets(tensors, graph.offline))


def loads(content: bytes, arena_bytes: int) -> bool:
    """Whether TFLM gets along with an arena of so many bytes."""
    program = "import sys; from tflite_micro import runtime; runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))"
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.tflite"
        path.write_bytes(content)
        command = [sys.executable, "-c", program, str(path), str(arena_bytes)]
        return subprocess.run(command, capture_output=True).returncode == 0


def allocations(files: Mapping[str, bytes], arenas: Mapping[str, int] | None = None) -> dict[str, tuple[int, int]]:
    """Head and tail that TFLM takes for every file, in an arena of so many bytes, none of which may abort it."""
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{number}.tflite" for number in range(len(files))]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        sizes = [(arenas or {}).get(file, AMPLE) for file in files]
        arguments = [str(value) for pair in zip(paths, sizes, strict=True) for value in pair]
        child = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-1000:]
    return dict(zip(files, map(parse_allocations, child.stderr.split("-- next file\n")[1:]), strict=True))


RUN = """
import os, sys
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_micro import runtime
kinds = {value: name for name, value in vars(schema.TensorType).items()}
for path in sys.argv[1:]:
    child = os.fork()
    if not child:
        content = open(path, "rb").read()
        graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)).subgraphs[0]
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1), os.dup2(null, 2)
        try:
            interpreter = runtime.Interpreter.from_bytes(content, arena_size=1 << 20)
            for number, index in enumerate(graph.inputs):
                tensor = graph.tensors[index]
                interpreter.set_input(np.ones(list(tensor.shape), kinds[tensor.type].lower()), number)
            interpreter.invoke()
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(int(os.waitpid(child, 0)[1] == 0), flush=True)
"""


def runs(files: Mapping[str, bytes]) -> dict[str, bool]:
    """Whether TFLM allocates and runs each file; one that takes its process along does not."""
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{number}.tflite" for number in range(len(files))]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        child = subprocess.run([sys.executable, "-c", RUN, *map(str, paths)], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-1000:]
    return dict(zip(files, (line == "1" for line in child.stdout.split()), strict=True))
