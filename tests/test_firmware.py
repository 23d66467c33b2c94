"""A bundle's C++ files: they compile for the target without a warning, and run on the host with the real TFLM."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tflite_micro

from dse.bundle import read_bundle
from dse.cost import estimate_graph
from dse.errors import FileError
from dse.firmware import REGISTRATIONS, load_golden, save_golden
from dse.firmware.arena import arena_of, cmsis_nn_scratch_bytes
from dse.firmware.c_text import rows, string_text
from dse.tflite_file import TFLM_INT8, load_tflite
from tests.conftest import PUBLISHED_MODELS

HERE = Path(__file__).parent
# Other folders, with the headers of TensorFlow Lite Micro and of what they need, for those who have its sources.
HEADERS = os.environ.get("DSE_TFLM_HEADERS", str(HERE / "tflm_headers")).split(os.pathsep)
STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")
CORES = ("cortex-m7", "cortex-m4")
HOST_ARENA = 1 << 20  # pointers are wider there
CHILD = """
import ctypes, os, sys
from pathlib import Path
import tflite_micro
[library] = Path(tflite_micro.__file__).parent.rglob("_runtime*.so")
ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
code = ctypes.CDLL(sys.argv[1]).firmware()
ctypes.CDLL(None).fflush(None)
os._exit(code)  # at once: a microcontroller destroys nothing either
"""


def compiler(name: str) -> str:
    """Its path; the test is skipped where there is none."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(
            f"{name} is not here (Debian: gcc-arm-none-eabi, libstdc++-arm-none-eabi-newlib, g++); make compiler"
        )
    return path


def compiled(firmware: Path, core: str, folder: Path) -> None:
    """Puts an object file of each source into a folder; no warning is let through."""
    command = [compiler("arm-none-eabi-g++"), f"-mcpu={core}", "-mthumb", "-Os", *STRICT]
    command += [f"-isystem{headers}" for headers in HEADERS]
    for source in sorted(firmware.glob("*.cc")):
        done = subprocess.run(
            [*command, "-c", str(source), "-o", str(folder / f"{source.stem}.o")], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr


@pytest.mark.parametrize("core", CORES)
def test_it_compiles_for_the_target(core: str, bundle: Path, tmp_path: Path) -> None:
    compiled(bundle / "firmware", core, tmp_path)
    sections = subprocess.run(
        [compiler("arm-none-eabi-size"), "-A", str(tmp_path / "model_data.o")], capture_output=True, text=True
    ).stdout
    sizes = {name: int(size) for name, size in re.findall(r"^(\.\w+)\S*\s+(\d+)", sections, re.MULTILINE)}
    report = read_bundle(bundle).report
    # What is flashed for the model is what was reported, and none of it is in RAM.
    assert sizes[".rodata"] == report["measured"]["flash_bytes"] == (bundle / "model_int8.tflite").stat().st_size
    assert sizes[".data"] == sizes[".bss"] == sizes[".text"] == 0
    arena = subprocess.run(
        [compiler("arm-none-eabi-size"), "-A", str(tmp_path / "classifier.o")], capture_output=True, text=True
    ).stdout
    bss = sum(int(size) for size in re.findall(r"^\.bss\S*\s+(\d+)", arena, re.MULTILINE))
    assert bss >= report["arena"]["bytes"]


def built(firmware: Path, program: str, folder: Path, arena: int = HOST_ARENA) -> Path:
    """A program of a bundle as a library with one function, which a child process calls beside the real TFLM."""
    sources = [str(firmware / name) for name in ("classifier.cc", "golden.cc", "model_data.cc", f"{program}.cc")]
    wrapper = folder / "wrapper.cc"
    wrapper.write_text('int program();\nextern "C" int firmware() { return program(); }\n')
    library = folder / f"{program}.so"
    command = [compiler("g++"), "-shared", "-fPIC", "-O1", *STRICT, "-isystem", str(HERE / "tflm_headers")]
    options = ["-Dmain=program", f"-DMODEL_ARENA_BYTES={arena}", f"-I{firmware}"]
    done = subprocess.run(
        [*command, *options, *sources, str(wrapper), "-o", str(library)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return library


def run(library: Path) -> tuple[int, str]:
    """What the program returns and prints."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(library)], capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


def test_the_self_test_passes_on_the_host(bundle: Path, tmp_path: Path) -> None:
    assert run(built(bundle / "firmware", "self_test", tmp_path)) == (
        0,
        "16 of 16 golden images give the same scores\n",
    )


def test_main_prints_the_class(bundle: Path, tmp_path: Path) -> None:
    golden = read_bundle(bundle)
    scores = golden.golden.outputs[0]
    name = golden.models.classes[scores.argmax()]
    code, text = run(built(bundle / "firmware", "main", tmp_path))
    assert code == 0
    assert text.startswith(f"class {scores.argmax()}: {name}, score {scores.max()}, ")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        # a score, a pixel, a weight: whatever is wrong, some golden image shows it
        ("golden.cc", "kGoldenOutputs[kNumGolden][kNumClasses] = {\n    {\n    ", "\\g<0>1", "golden image 0: scores differ by"),
        ("classifier.cc", "kInputBytes\\);", "kInputBytes / 2);", "golden image"),
        ("op_resolver.h", ".*AddHardSwish.*", "", "an arena of 1048576 bytes is too small, or an operator is missing"),
    ],
)  # fmt: skip
def test_the_self_test_finds_what_is_wrong(
    file: str, old: str, new: str, message: str, bundle: Path, tmp_path: Path
) -> None:
    firmware = tmp_path / "firmware"
    shutil.copytree(bundle / "firmware", firmware)
    text = (firmware / file).read_text()
    pattern = re.escape(old) if "\\g" in new else old
    changed = re.sub(pattern, new, text, count=1)
    assert changed != text
    (firmware / file).write_text(changed)
    code, printed = run(built(firmware, "self_test", tmp_path))
    assert code > 0
    assert message in printed


def test_an_arena_that_is_too_small_is_a_message(bundle: Path, tmp_path: Path) -> None:
    code, printed = run(built(bundle / "firmware", "main", tmp_path, arena=2048))
    assert code == 1
    assert "an arena of 2048 bytes is too small" in printed


def test_every_operator_that_is_exported_can_be_registered() -> None:
    assert set(REGISTRATIONS) == TFLM_INT8
    headers = (HERE / "tflm_headers" / "tflm_api.h").read_text()
    assert {f"Add{name}" for name in re.findall(r"X\((\w+), ", headers)} == set(REGISTRATIONS.values())
    assert Path(tflite_micro.__file__ or "").exists()


@pytest.mark.parametrize("path", PUBLISHED_MODELS, ids=lambda path: path.stem)
def test_the_margin_is_what_optimised_kernels_ask_for(path: Path) -> None:
    """Worked out anew for each convolution: two windows of 16 bits, or one of all channels."""
    content, graph = load_tflite(path)
    most = 0
    for operator in graph.operators:
        if operator.kind == "CONV_2D":
            _, height, width, channels = graph.tensors[operator.inputs[1]].shape
            most = max(most, 4 * height * width * channels)
        elif operator.kind == "DEPTHWISE_CONV_2D":
            _, height, width, channels = graph.tensors[operator.inputs[1]].shape
            most = max(most, 2 * height * width * channels)
        elif operator.kind == "AVERAGE_POOL_2D":
            most = max(most, 4 * graph.tensors[operator.inputs[0]].shape[-1])
        else:
            assert cmsis_nn_scratch_bytes(operator, graph.tensors) == 0
    arena = arena_of(graph, estimate_graph(graph, len(content)))
    assert arena.margin_bytes == -(-most // 16) * 16 + 16 * len(graph.operators)
    assert arena.num_bytes == arena.needed_bytes + arena.margin_bytes
    assert arena.num_bytes % 16 == 0


def test_golden_vectors_read_back(bundle: Path, tmp_path: Path) -> None:
    golden = load_golden(bundle / "golden.npz")
    assert len(golden.inputs) >= 16
    assert len(set(golden.indices.tolist())) == len(golden.inputs)
    save_golden(tmp_path / "again.npz", golden)
    assert (tmp_path / "again.npz").read_bytes() == (bundle / "golden.npz").read_bytes()


def test_golden_vectors_that_are_none_are_one_message(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(b"PK\3\4 nothing")
    with pytest.raises(FileError, match=r"golden\.npz: no golden vectors"):
        load_golden(path)
    np.savez(path, inputs=np.zeros((2, 3), np.int8), outputs=np.zeros(2, np.int8), indices=np.zeros(2), source="x")
    with pytest.raises(FileError, match=r"no golden vectors: \(2, 3\) to \(2,\)"):
        load_golden(path)
    np.savez(path, inputs=np.array([{}], object), outputs=0, indices=0, source="x")
    with pytest.raises(FileError, match="no golden vectors: Object arrays cannot be loaded"):
        load_golden(path)


def test_text_for_c() -> None:
    assert rows(range(25)).splitlines()[1] == "    24,"
    # A digit behind an octal escape has to stay one of its own: an escape has three digits at most.
    assert string_text("é1\n") == '"\\303\\2511\\012"'
