"""Runs int8 TFLite files: on LiteRT in this process, on TensorFlow Lite Micro in child processes.

TFLM aborts the process on a failed check, so it never runs in ours. Its interpreter is the real one with
reference kernels; what it prints of its arena is read back. Results are int8 logits (count, classes).
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse._util.child import module_command
from dse.data.images import to_float
from dse.errors import ExportError


@dataclass(frozen=True)
class TflmResult:
    """Logits (count, classes) int8, and the arena that the allocator took on this 64-bit host."""

    logits: np.ndarray
    head_bytes: int
    tail_bytes: int


def int8_input(images: np.ndarray) -> np.ndarray:
    """uint8 images as the int8 input of every exported file: pixel - 128.

    >>> int8_input(np.array([0, 255], np.uint8)).tolist()
    [-128, 127]
    """
    return (images ^ 0x80).view(np.int8)


def open_litert(content: bytes, reference: bool = False, keep_all: bool = False) -> Any:
    """A LiteRT interpreter of a file, ready to run on one thread, without delegates. Raises ExportError.

    `reference` takes its reference kernels, the ones that TFLM's are written after; the default ones are faster and
    round some operators differently by one step. `keep_all` leaves every tensor to be read.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_REF if reference else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=keep_all,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"LiteRT refused the model: {str(error)[:300]}") from None
    return interpreter


def run_litert(content: bytes, images: np.ndarray, reference: bool = False) -> np.ndarray:
    """int8 logits (count, classes) of uint8 images on LiteRT."""
    interpreter = open_litert(content, reference)
    _check_input(interpreter.get_input_details()[0]["quantization"])
    return _logits(interpreter, int8_input(images))


def run_float(content: bytes, images: np.ndarray) -> np.ndarray:
    """float32 logits (count, classes) of uint8 images, of a float file on LiteRT's reference kernels.

    Those sum in one order on every processor, so that a bundle's figures can be had again on another machine.
    """
    return _logits(open_litert(content, reference=True), to_float(images))


def _logits(interpreter: Any, images: np.ndarray) -> np.ndarray:
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    logits = np.empty((len(images), math.prod(target["shape"])), target["dtype"])
    for index, image in enumerate(images):
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        logits[index] = interpreter.get_tensor(target["index"]).reshape(-1)
    return logits


def end_scales(content: bytes) -> tuple[tuple[float, int], tuple[float, int]]:
    """Scale and zero point of the input and of the output of an int8 file."""
    interpreter = open_litert(content)
    ends = (interpreter.get_input_details()[0], interpreter.get_output_details()[0])
    (first, first_zero), (second, second_zero) = (end["quantization"] for end in ends)
    return (float(first), int(first_zero)), (float(second), int(second_zero))


def _check_input(quantization: tuple[float, int]) -> None:
    scale, zero_point = quantization
    if zero_point != -128 or abs(scale * 255 - 1) > 1e-3:
        raise ExportError(f"input scale {scale:g} and zero point {zero_point}, expected 1/255 and -128")


def run_tflm(
    content: bytes, images: np.ndarray, processes: int | None = None, progress: Callable[[int], None] | None = None
) -> TflmResult:
    """int8 logits of uint8 images on TensorFlow Lite Micro, in child processes. Raises ExportError.

    `progress` is told how many images are done.
    """
    processes = max(1, min(processes or os.cpu_count() or 1, len(images)))
    with tempfile.TemporaryDirectory(prefix="dse-tflm-") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(content)
        children = []
        for part, share in enumerate(np.array_split(int8_input(images), processes)):
            np.save(folder / f"in{part}.npy", share)
            command = module_command("dse.tflite.tflm_child", str(folder), str(part))
            children.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        results, allocations = [], ""
        for part, child in enumerate(children):
            _, stderr = child.communicate()
            if child.returncode != 0:
                for other in children:
                    other.kill()
                    other.wait()
                reason = stderr.decode(errors="replace").strip()[-500:]
                raise ExportError(f"TensorFlow Lite Micro failed (exit {child.returncode}): {reason or 'no message'}")
            allocations = stderr.decode(errors="replace")
            results.append(np.load(folder / f"out{part}.npy", allow_pickle=False))
            if progress:
                progress(sum(len(r) for r in results))
    head, tail = parse_allocations(allocations)
    return TflmResult(np.concatenate(results), head, tail)


def parse_allocations(text: str) -> tuple[int, int]:
    """Head and tail bytes in what TFLM's `print_allocations` prints. Raises ExportError."""
    found = {kind: re.search(rf"Arena allocation {kind} (\d+) bytes", text) for kind in ("head", "tail")}
    head, tail = found["head"], found["tail"]
    if not head or not tail:
        raise ExportError(f"TensorFlow Lite Micro printed no allocations: {text[-300:]!r}")
    return int(head[1]), int(tail[1])
