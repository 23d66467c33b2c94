"""How a TFLM library was built, as far as the memory that it takes depends on that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kernels = Literal["reference", "cmsis-nn", "esp-nn"]
# What the instructions of a core offer to CMSIS-NN (Cortex-M) or ESP-NN (ESP32-S3, ESP32-P4).
Core = Literal["plain", "dsp", "mve", "s3", "p4"]


@dataclass(frozen=True, slots=True)
class Build:
    """A TFLM library as it was compiled."""

    pointer_bytes: int
    enum_bytes: int = 4  # arm-none-eabi-gcc takes 1 unless it is told -fno-short-enums
    recording: bool = False  # RecordingMicroAllocator instead of MicroAllocator
    compression: bool = False  # compiled with USE_TFLM_COMPRESSION
    kernels: Kernels = "reference"
    core: Core = "dsp"  # counts with kernels that are optimised for it
    # Two members of TfLiteFullyConnectedParams, which are in the library of October 2026 and were not in August.
    has_long_params: bool = True


HOST = Build(8, recording=True, compression=True)
# Four bytes for an enum are an upper bound, and right for most compilers. arm-none-eabi-gcc takes one byte by default:
# then a tail is smaller by up to 2 % (8 bytes for each input, output and FULLY_CONNECTED, 6 for each ADD, 3 for MUL).
MICROCONTROLLER = Build(4)
