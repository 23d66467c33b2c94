"""Cost reports, budgets and boards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dse.cost.report import estimate
from dse.errors import DseError, FileError, UnknownNameError
from dse.hardware.boards import list_boards, load_board, load_boards
from dse.hardware.budget import Budget, Budgets
from dse.hardware.verdict import judge
from dse.tasks import list_tasks, load_task
from tests.helpers.boards import engine_board, load_board_path
from tests.helpers.networks import FAMILIES, family_space, only_candidate


def test_hand_worked_report() -> None:
    """conv 3x3 s2 3 -> 16 on 32x32, two convolutions, 1x1 head 64: every figure from the table in the comments."""
    report = estimate(only_candidate(family_space("conv", FAMILIES["conv"])).network)
    kernels = 27 * 16 + 9 * 16 * 16 + 9 * 16 * 32 + 9 * 32 * 32 + 32 * 64 + 64 * 10
    norms = 16 + 16 + 32 + 32 + 64
    assert report.trainable_params == kernels + 2 * norms + 10
    assert report.params == kernels + 4 * norms + 10
    assert report.deployed_params == kernels + norms + 10
    assert report.macs == 256 * (27 * 16 + 9 * 16 * 16) + 64 * (9 * 16 * 32 + 9 * 32 * 32 + 32 * 64) + 640
    # conv1 16x16x16 = 4096 and conv2 4096 together: nothing later needs more (2048 + 2048, 2048 + 4096)
    assert report.arena_head_bytes == 8192
    assert report.operators == {"CONV_2D": 5, "FULLY_CONNECTED": 1, "MEAN": 1}


def test_budget_says_what_is_exceeded_and_by_how_much() -> None:
    report = estimate(only_candidate(family_space("conv")).network)
    budget = Budget(params=report.params - 1, macs=report.macs, arena_bytes=2 * report.arena_bytes)
    assert budget.exceeded_by(report) == [f"params {report.params:,} > {report.params - 1:,}"]
    violations = budget.violations(report)
    assert violations["params"] > 0
    assert violations["macs"] == 0
    assert violations["arena_bytes"] == pytest.approx(-0.5)


def test_the_stricter_limit_holds() -> None:
    board = load_board("nano33ble")
    assert Budget.of_board(board).limits() == {"arena_bytes": 212_992, "flash_bytes": 800_000}
    assert Budget.of_board(board, arena_bytes=100_000, params=5).limits() == {
        "params": 5,
        "arena_bytes": 100_000,
        "flash_bytes": 800_000,
    }
    assert Budget.of_board(board, arena_bytes=10**9).limits()["arena_bytes"] == 212_992


def test_without_an_interpreter_the_memory_is_that_in_place(tmp_path: Path) -> None:
    """The same bytes of the same board, held against another figure; also the user's own limit."""
    board, nano = load_board(str(engine_board(tmp_path))), load_board("nano33ble")
    assert Budget.of_board(board).limits() == {"flash_bytes": 800_000, "inplace_bytes": 212_992}
    assert Budget.of_board(nano, "tinyengine") == Budget.of_board(board)
    assert Budget.of_board(board, "tflm-cmsis-nn") == Budget.of_board(nano) != Budget.of_board(nano, "tflm")
    assert Budget.of_board(board, arena_bytes=100_000).limits()["inplace_bytes"] == 100_000
    assert "arena_bytes" not in Budget.of_board(board, arena_bytes=100_000).limits()
    report = estimate(only_candidate(family_space("bneck")).network).on(board.library())
    wide = replace(report, arena_head_bytes=400_000, inplace_bytes=212_993)
    assert [reason.split()[0] for reason in Budget.of_board(board).exceeded_by(wide)] == ["inplace_bytes"]
    just = replace(wide, inplace_bytes=212_992)
    on_nano = replace(just.on(nano.library()), arena_head_bytes=400_000)
    assert Budgets.of_boards([nano]).exceeded_by(on_nano)
    budgets = Budgets.of_boards([nano, board])
    assert budgets.exceeded_by(on_nano) == []
    assert budgets.nearest(on_nano) == "mine"
    verdict = judge(just, board)
    assert verdict.fits
    assert verdict.left["inplace_bytes"] == 0
    assert list(verdict.latencies) == ["vendor", "tflm", "tflm-cmsis-nn"]
    assert verdict.basis == judge(just, nano, "vendor").basis
    assert judge(wide, nano, "tinyengine").over_by == {"flash_bytes": 0, "inplace_bytes": 1}
    assert list(judge(wide, nano, "vendor").left) == ["arena_bytes", "flash_bytes"]


def test_one_of_several_boards_must_be_kept_to() -> None:
    """Arena and flash by hand: what fits the larger board fits; what fits none is measured by the nearest."""
    small, large = load_board("fs32k142"), load_board("nano33ble")  # 20,480 and 212,992 bytes of arena
    budgets = Budgets.of_boards([small, large], macs=10**9)
    report = estimate(only_candidate(family_space("conv")).network).on(large.library())
    between, beyond = (replace(report, arena_head_bytes=size) for size in (100_000, 400_000))
    assert budgets.nearest(between) == "nano33ble"
    assert budgets.exceeded_by(between) == []
    assert budgets.excess(between) <= 0 < Budgets.of_boards([small]).excess(between)
    arena = beyond.arena_bytes
    assert 0 <= arena - 400_000 - report.arena_tail_bytes < 16
    assert budgets.exceeded_by(beyond) == [f"arena_bytes {arena:,} > 212,992 of nano33ble"]
    assert budgets.violations(beyond)["arena_bytes"] == pytest.approx(arena / 212_992 - 1)
    assert budgets.limits()["fs32k142"] == {"macs": 10**9, "arena_bytes": 20_480, "flash_bytes": 163_840}
    alone = Budgets.of_boards([], params=5)
    assert alone.limits() == {"any board": {"params": 5}}
    assert alone.exceeded_by(report) == [f"params {report.params:,} > 5"]


def test_boards_of_one_name(tmp_path: Path) -> None:
    """The same one twice is one; another one under its name is refused, or one of the two would be forgotten."""
    again = next(path for path in list_boards() if path.stem == "nano33ble")
    assert [board.name for board in load_boards(["nano33ble", str(again), "fs32k142"])] == ["nano33ble", "fs32k142"]
    mine = tmp_path / "mine.yaml"
    mine.write_text(again.read_text().replace("value: 262144", "value: 60000"))
    with pytest.raises(DseError, match="two different boards are called 'nano33ble'"):
        load_boards(["nano33ble", str(mine)])


def test_an_arena_has_room_to_start() -> None:
    """Where activations are tiny TFLM's notes need more; an arena is a multiple of 16."""
    report = estimate(only_candidate(family_space("conv")).network)
    assert report.arena_bytes == -(-(8192 + report.arena_tail_bytes) // 16) * 16
    tiny = replace(report, arena_head_bytes=16)
    assert tiny.arena_bytes == -(-report.arena_starting_bytes // 16) * 16 > 16 + report.arena_tail_bytes


def test_a_verdict_says_by_how_much() -> None:
    nano = load_board("nano33ble")
    report = estimate(only_candidate(family_space("conv")).network).on(nano.library())
    report = replace(report, arena_head_bytes=212_992, flash_bytes=10)
    verdict = judge(report, nano)
    assert not verdict.fits
    assert verdict.over_by == {"arena_bytes": report.arena_bytes - 212_992, "flash_bytes": 0}
    assert 0 <= report.arena_bytes - 212_992 - report.arena_tail_bytes < 16
    assert verdict.left["flash_bytes"] == 799_990
    assert list(verdict.latencies) == ["tflm-cmsis-nn", "tflm", "vendor"]
    assert next(iter(judge(report, load_board("nano33ble"), "vendor").latencies)) == "vendor"
    # 3.3 V and 40 mA: 0.132 mJ a millisecond.
    assert verdict.energy is not None
    assert verdict.energy.low_mj == pytest.approx(0.132 * verdict.latencies["tflm-cmsis-nn"].low_ms)
    linux = judge(report, load_board("bluebox2"))
    assert (linux.latencies, linux.energy, linux.to_dict()["latency_ms"]) == ({}, None, None)
    assert "no latency" in linux.basis


@pytest.mark.parametrize("path", list_boards(), ids=lambda path: path.stem)
def test_every_board_has_sources(path) -> None:  # type: ignore[no-untyped-def]
    board = load_board(str(path))
    assert board.name == path.stem
    for name in ("clock_mhz", "sram_bytes", "sram_reserved_bytes", "flash_bytes", "flash_reserved_bytes"):
        assert len(getattr(board, name).source) > 10
    assert board.arena_bytes > 0
    assert board.model_bytes > 0


def test_the_boards_of_the_field_are_there() -> None:
    names = {path.stem for path in list_boards()}
    assert len(names) >= 40
    assert {
        "imxrt1060", "nano33ble", "nano33ble-camera", "bluebox2", "stm32f746g-disco", "frdm-k64f", "fs32k142", "esp32",
        "esp32-s3", "rpi-pico", "rpi-pico2", "nrf52840-dk", "arduino-portenta-h7", "teensy40", "openmv-h7-plus",
        "nucleo-l4r5zi", "stm32n6570-dk", "ek-ra8m1", "himax-we2", "spresense",
    } <= names  # fmt: skip
    assert {board.name for board in load_boards(["all"])} == names
    assert load_board("Nano33BLE") == load_board("nano33ble")
    with pytest.raises(UnknownNameError, match="did you mean 'imxrt1060'"):
        load_board("imxrt1064")


def test_a_wrong_board_has_an_address(tmp_path) -> None:  # type: ignore[no-untyped-def]
    text = (load_board_path("nano33ble")).read_text()
    wrong = tmp_path / "mine.yaml"
    wrong.write_text(text.replace("sram_bytes:", "sram_byte:"))
    with pytest.raises(FileError, match=r"mine.yaml:\d+: sram_byte"):
        load_board(str(wrong))
    wrong.write_text(text.replace("value: 49152", "value: 999999"))
    with pytest.raises(FileError, match="sram_reserved_bytes 999999 leave nothing of sram_bytes 262144"):
        load_board(str(wrong))


@pytest.mark.parametrize("path", list_tasks(), ids=lambda path: path.stem)
def test_every_task_loads(path) -> None:  # type: ignore[no-untyped-def]
    assert load_task(str(path)).task == path.stem


def test_reports_are_plain_data() -> None:
    report = estimate(only_candidate(family_space("fire")).network)
    data = json.loads(json.dumps(report.to_dict()))
    assert data["arena_bytes"] == report.arena_bytes
    assert data["work"]["conv_macs"] + data["work"]["fully_connected_macs"] == report.macs
    assert sum(tensor["bytes"] for tensor in data["peak_tensors"]) == report.arena_head_bytes


def test_what_fits_depends_on_the_build() -> None:
    """With the kernels of CMSIS-NN an arena is larger: of a board that has just enough for the others it is too large."""
    nano = load_board("nano33ble")
    cost = estimate(only_candidate(family_space("conv")).network)
    reference, cmsis = (judge(cost, nano, build) for build in ("tflm", "tflm-cmsis-nn"))
    assert judge(cost, nano) == cmsis
    assert reference.cost.arena_bytes < cmsis.cost.arena_bytes
    assert cost.arena_bytes >= reference.cost.arena_bytes  # enums of four bytes are an upper bound
    assert reference.left["arena_bytes"] - cmsis.left["arena_bytes"] == (
        cmsis.cost.arena_bytes - reference.cost.arena_bytes
    )
    between = (reference.cost.arena_bytes + cmsis.cost.arena_bytes) // 2
    assert Budget.of_board(nano, "tflm", arena_bytes=between).excess(cost) <= 0
    assert Budget.of_board(nano, arena_bytes=between).exceeded_by(cost) == [
        f"arena_bytes {cmsis.cost.arena_bytes:,} > {between:,}"
    ]
    assert Budgets.of_boards([nano]).libraries == (nano.library(),)
    assert cmsis.to_dict()["arena_bytes"] == cmsis.cost.arena_bytes
    assert (cmsis.to_dict()["build"], reference.to_dict()["build"]) == ("tflm-cmsis-nn", "tflm")
