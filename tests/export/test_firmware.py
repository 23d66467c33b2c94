"""A bundle's C++ files: they compile for the target without a warning, and run on the host with the real TFLM."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dse.cost.report import estimate
from dse.cost.tflm.arrange import arranged
from dse.cost.tflm.graph import Operator, Tensor
from dse.cost.tflm.lowering import lower
from dse.cost.tflm.planner import Lifetime, aligned, greedy_offsets, head_of, lifetimes
from dse.errors import FileError
from dse.export.bundle import read_bundle
from dse.export.firmware import REGISTRATIONS, load_golden, save_golden
from dse.export.firmware.arena import arena_of, cmsis_nn_scratch_bytes
from dse.export.firmware.c_text import rows, string_text
from dse.tflite.deployable import TFLM_INT8
from tests.helpers.compilers import CORES, HERE, built, compiled, compiler, run
from tests.helpers.networks import wide_candidates


@pytest.mark.compiler
@pytest.mark.parametrize("core", CORES)
def test_it_compiles_for_the_target(core: str, bundle: Path, tmp_path: Path) -> None:
    compiled(bundle / "firmware", core, tmp_path)
    sections = subprocess.run(
        [compiler("arm-none-eabi-size"), "-A", str(tmp_path / "model_data.o")], capture_output=True, text=True
    ).stdout
    sizes = {name: int(size) for name, size in re.findall(r"^(\.\w+)\S*\s+(\d+)", sections, re.MULTILINE)}
    report = read_bundle(bundle).report
    # What is flashed for the model is what was reported, and none of it is in RAM.
    assert sizes[".rodata"] == report.measured.flash_bytes == (bundle / "model_int8.tflite").stat().st_size
    assert sizes[".data"] == sizes[".bss"] == sizes[".text"] == 0
    arena = subprocess.run(
        [compiler("arm-none-eabi-size"), "-A", str(tmp_path / "classifier.o")], capture_output=True, text=True
    ).stdout
    bss = sum(int(size) for size in re.findall(r"^\.bss\S*\s+(\d+)", arena, re.MULTILINE))
    assert bss >= report.arena.bytes


@pytest.mark.compiler
def test_the_self_test_passes_on_the_host(bundle: Path, tmp_path: Path) -> None:
    assert run(built(bundle / "firmware", "self_test", tmp_path)) == (
        0,
        "16 of 16 golden images give the same scores\n",
    )


@pytest.mark.compiler
def test_main_prints_the_class(bundle: Path, tmp_path: Path) -> None:
    golden = read_bundle(bundle)
    scores = golden.golden.outputs[0]
    name = golden.models.classes[scores.argmax()]
    code, text = run(built(bundle / "firmware", "main", tmp_path))
    assert code == 0
    assert text.startswith(f"class {scores.argmax()}: {name}, score {scores.max()}, ")


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        # a score, half an image, an operator: whatever is wrong, some golden image shows it
        ("golden.cc", "kGoldenOutputs[kNumGolden][kNumClasses] = {\n    {\n    ", "\\g<0>64 ^ ", "golden image 0: scores differ by"),
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


@pytest.mark.compiler
def test_an_arena_that_is_too_small_is_a_message(bundle: Path, tmp_path: Path) -> None:
    code, printed = run(built(bundle / "firmware", "main", tmp_path, arena=2048))
    assert code == 1
    assert "an arena of 2048 bytes is too small" in printed


@pytest.mark.tflm
def test_every_operator_that_is_exported_can_be_registered() -> None:
    import tflite_micro

    assert set(REGISTRATIONS) == TFLM_INT8
    headers = (HERE / "tflm_headers" / "tflm_api.h").read_text()
    assert {f"Add{name}" for name in re.findall(r"X\((\w+), ", headers)} == set(REGISTRATIONS.values())
    assert Path(tflite_micro.__file__ or "").exists()


@pytest.mark.parametrize(
    ("kind", "weights", "output", "scratch"),
    [
        # CMSIS-NN, arm_convolve_s8_get_buffer_size (DSP): two columns of 3 * 3 * 16 inputs in 16 bits
        ("CONV_2D", (32, 3, 3, 16), (1, 8, 8, 32), 2 * 3 * 3 * 16 * 2),
        ("CONV_2D", (32, 1, 1, 64), (1, 8, 8, 32), 256),
        # arm_depthwise_conv_s8_opt_get_buffer_size (DSP): one window of all channels in 16 bits
        ("DEPTHWISE_CONV_2D", (1, 5, 5, 48), (1, 8, 8, 48), 2400),
        # arm_avgpool_s8_get_buffer_size (DSP): a sum of 32 bits for every channel
        ("AVERAGE_POOL_2D", (), (1, 4, 4, 24), 96),
        # arm_fully_connected_s8_get_buffer_size_dsp: none
        ("FULLY_CONNECTED", (10, 64), (1, 10), 0),
    ],
)  # fmt: skip
def test_what_optimised_kernels_ask_for(
    kind: str, weights: tuple[int, ...], output: tuple[int, ...], scratch: int
) -> None:
    tensors = (
        Tensor("INT8", (1, 8, 8, weights[-1] if weights else 24)),
        Tensor("INT8", weights, True),
        Tensor("INT8", output),
    )
    assert cmsis_nn_scratch_bytes(Operator(kind, (0, 1), (2,)), tensors) == scratch


def test_the_margin_has_room_for_them() -> None:
    """Planned together with the activations, by TFLM's own planner."""
    for candidate in wide_candidates(100, seed=3):
        graph, _, _ = arranged(lower(candidate.network))
        tensors = lifetimes(graph)
        asked = [
            (cmsis_nn_scratch_bytes(operator, graph.tensors), step) for step, operator in enumerate(graph.operators)
        ]
        behind = max(tensor.tensor for tensor in tensors) + 1
        more = [Lifetime(behind + i, aligned(size), step, step) for i, (size, step) in enumerate(asked) if size]
        together = [*tensors, *more]
        head = head_of(together, greedy_offsets(together, graph.offline))
        arena = arena_of(graph, estimate(candidate.network))
        assert head <= arena.head_bytes + arena.margin_bytes
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
