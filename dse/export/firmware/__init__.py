"""The C++ files of a bundle: the model, its operators, its settings, golden vectors, and programs that use them.

Text from plain data, by the templates beside this file. Tests compile them for Cortex-M4 and Cortex-M7, and run them on
the host with the real TensorFlow Lite Micro.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template

from dse.cost.tflm.graph import OperatorGraph
from dse.export.firmware.arena import FirmwareArena, arena_of
from dse.export.firmware.c_text import float_text, rows, string_text
from dse.export.firmware.golden import Golden, load_golden, save_golden
from dse.export.firmware.registrations import REGISTRATIONS

__all__ = [
    "REGISTRATIONS",
    "Firmware",
    "FirmwareArena",
    "Golden",
    "Quantized",
    "arena_of",
    "firmware_files",
    "load_golden",
    "save_golden",
]

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Quantized:
    """How an int8 value stands for a real one: scale * (value - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Firmware:
    """What the files are made of."""

    name: str  # the candidate's id
    model: bytes
    graph: OperatorGraph
    arena: FirmwareArena
    input: Quantized
    output: Quantized
    classes: tuple[str, ...]
    golden: Golden


def firmware_files(firmware: Firmware) -> dict[str, str]:
    """The text of every file, by its name. Raises KeyError for an operator that dse does not export."""
    values = _values(firmware)
    names = sorted(path.name for path in TEMPLATES.iterdir() if path.is_file())
    return {name: Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(values) for name in names}


def _values(firmware: Firmware) -> dict[str, object]:
    """What stands in the templates, by name."""
    golden, arena = firmware.golden, firmware.arena
    _, height, width, channels = golden.inputs.shape
    kinds = firmware.graph.counts()
    return {
        "title": f"Candidate {firmware.name}",
        "name": firmware.name,
        "model_bytes": len(firmware.model),
        "model_data": rows(firmware.model),
        "num_operators": len(kinds),
        "registrations": "\n".join(
            f"  TF_LITE_ENSURE_STATUS(resolver.{REGISTRATIONS[kind]}());" for kind in sorted(kinds)
        ),
        "arenas": "\n".join(
            f"//   {one.num_bytes} with build {name}: {one.head_bytes} of activations, {one.tail_bytes} kept for good"
            for name, one in arena.by_build.items()
        ),
        "margin": arena.margin_bytes,
        "arena": arena.num_bytes,
        "plan": arena.plan,
        "how": arena.how,
        "height": height,
        "width": width,
        "channels": channels,
        "input_scale": float_text(firmware.input.scale),
        "input_zero_point": firmware.input.zero_point,
        "output_scale": float_text(firmware.output.scale),
        "output_zero_point": firmware.output.zero_point,
        "num_classes": len(firmware.classes),
        "class_names": "\n".join(f"    {string_text(name)}," for name in firmware.classes),
        "golden_source": golden.source,
        "num_golden": len(golden.inputs),
        "golden_bytes": golden.inputs.nbytes + golden.outputs.nbytes,
        "example": rows(golden.inputs[0].reshape(-1).tolist()),
        "golden_inputs": _arrays(golden.inputs.reshape(len(golden.inputs), -1)),
        "golden_outputs": _arrays(golden.outputs),
    }


def _arrays(values) -> str:  # type: ignore[no-untyped-def]
    """A table as the rows of a C array of arrays."""
    return "\n".join(f"    {{\n{rows(row.tolist())}\n    }}," for row in values)
