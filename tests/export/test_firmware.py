"""A bundle's C++ files: they compile for the target without a warning, and run on the host with the real TFLM."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from dse.cost.tflm.arena import arena_of as arena_in
from dse.cost.tflm.arrange import arranged
from dse.cost.tflm.build import Build
from dse.cost.tflm.lowering import lower
from dse.errors import FileError
from dse.export.bundle import read_bundle
from dse.export.firmware import REGISTRATIONS, load_golden, save_golden
from dse.export.firmware.arena import arena_of
from dse.export.firmware.c_text import rows, string_text
from dse.hardware.boards import load_board
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


def test_the_arena_has_room_for_every_build() -> None:
    """The kernels of both, on the cores of the boards, by compilers with wide enums, and from newer sources."""
    boards = [load_board("nano33ble"), load_board("imxrt1060").model_copy(update={"core": "cortex-m55"})]
    for candidate in wide_candidates(40, seed=3):
        graph, _, _ = arranged(lower(candidate.network))
        arena, on_one = arena_of(graph, boards), arena_of(graph)
        assert list(arena.by_build) == ["tflm", "tflm-cmsis-nn"] == list(on_one.by_build)
        assert arena.num_bytes == arena.needed_bytes + arena.margin_bytes
        assert arena.num_bytes % 16 == 0
        for kernels, core, enum_bytes, is_new in product(
            ("reference", "cmsis-nn"), ("dsp", "mve"), (1, 4), (False, True)
        ):
            build = Build(4, enum_bytes, kernels=kernels, core=core, has_long_params=is_new)  # type: ignore[arg-type]
            needed = arena_in(graph, build).num_bytes
            assert needed <= arena.num_bytes
            if core == "dsp":
                assert needed <= on_one.num_bytes
                if enum_bytes == 1 and not is_new:
                    name = "tflm" if kernels == "reference" else "tflm-cmsis-nn"
                    assert on_one.by_build[name].num_bytes == needed


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
