"""Bundles compiled for the device and for this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def built(firmware: Path, program: str, folder: Path, arena: int = HOST_ARENA) -> Path:
    """A program of a bundle as a library with one function, which a child process calls beside the real TFLM."""
    sources = [str(path) for path in sorted(firmware.glob("*.cc"))]
    wrapper = folder / "wrapper.cc"
    wrapper.write_text('int program();\nextern "C" int firmware() { return program(); }\n')
    library = folder / f"{program}.so"
    command = [compiler("g++"), "-shared", "-fPIC", "-O1", *STRICT, "-isystem", str(HERE / "tflm_headers")]
    # NOTE: always by our own headers, which are written after that library; those of another version lay out otherwise.
    options = [
        "-Dmain=program",
        *(["-DSELF_TEST"] if program == "self_test" else []),
        f"-DMODEL_ARENA_BYTES={arena}",
        f"-I{firmware}",
    ]
    done = subprocess.run(
        [*command, *options, *sources, str(wrapper), "-o", str(library)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return library


def run(library: Path) -> tuple[int, str]:
    """What the program returns and prints."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(library)], capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr
