"""Latency and energy: what is counted, the fit, and the ranges around it. Expected figures are worked out here."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.latency_check import leave_one_board_out, spread
from dse.cost.macs import macs_of
from dse.cost.tflm.graph import Operator, OperatorGraph, Tensor
from dse.cost.work import Work, graph_work, operator_work
from dse.errors import FileError
from dse.hardware.boards import Board, list_boards, load_board
from dse.hardware.energy import EnergyRange, energy_range
from dse.hardware.latency import RUNTIMES, SHARE, SPREAD, LatencyRange, board_latency, describe, latency_range
from dse.hardware.latency_fit import Measurement, fit, non_negative_least_squares, published, published_fit
from tests.helpers.paths import GROUND_TRUTH


def int8(*shape: int) -> Tensor:
    return Tensor("INT8", shape)


CASES = [
    # 16 x 16 values of 8 channels, each a sum over 3 x 3 x 3
    ("CONV_2D", int8(8, 3, 3, 3), int8(1, 16, 16, 8), 16 * 16 * 8 * 27),
    # four groups of 16 channels: each value sums over 4 of them
    ("CONV_2D", int8(16, 1, 1, 4), int8(1, 5, 5, 16), 25 * 16 * 4),
    ("CONV_2D", int8(6, 3, 1, 2), int8(1, 4, 7, 6), 4 * 7 * 6 * 6),
    # one channel in, one out: 5 x 3 taps
    ("DEPTHWISE_CONV_2D", int8(1, 5, 3, 24), int8(1, 10, 10, 24), 10 * 10 * 24 * 15),
    ("FULLY_CONNECTED", int8(10, 64), int8(1, 10), 640),
    ("ADD", int8(1, 4, 4, 8), int8(1, 4, 4, 8), 0),
]


@pytest.mark.parametrize("bias", [(), (-1,), (3,)], ids=["no bias", "left out", "bias"])
@pytest.mark.parametrize(("kind", "weights", "output", "macs"), CASES)
def test_macs_by_hand(kind: str, weights: Tensor, output: Tensor, macs: int, bias: tuple[int, ...]) -> None:
    tensors = [int8(1, 99, 99, 7), weights, output, Tensor("INT32", (8,), constant=True)]
    assert macs_of(Operator(kind, (0, 1, *bias), (2,)), tensors) == macs


def test_a_kind_whose_macs_are_not_known_is_not_free() -> None:
    with pytest.raises(ValueError, match="the MACs of LSTM are not known"):
        macs_of(Operator("LSTM", (0, 1, 2), (3,)), [int8(1)] * 4)


def test_macs_of_a_transposed_convolution_and_of_matrices() -> None:
    shape, weights, image = Tensor("INT32", (4,), True), int8(5, 3, 2, 7), int8(1, 4, 6, 7)
    tensors = [shape, weights, image, int8(1, 8, 12, 5)]
    assert macs_of(Operator("TRANSPOSE_CONV", (0, 1, 2), (3,)), tensors) == 4 * 6 * 7 * 3 * 2 * 5
    matrices = [int8(2, 6, 4), int8(2, 6, 5), int8(2, 4, 5)]
    assert macs_of(Operator("BATCH_MATMUL", (0, 1), (2,), turned=(True, False)), matrices) == 2 * 4 * 5 * 6


GRAPH = OperatorGraph(
    tensors=(
        int8(1, 8, 8, 3), int8(4, 3, 3, 3), int8(1, 4, 4, 4), int8(1, 3, 3, 4), int8(1, 4, 4, 4), int8(1, 4), int8(2, 4),
        int8(1, 2), int8(1, 2),
    ),
    operators=(
        Operator("CONV_2D", (0, 1, -1), (2,)),
        Operator("DEPTHWISE_CONV_2D", (2, 3, -1), (4,)),
        Operator("MEAN", (4,), (5,)),
        Operator("FULLY_CONNECTED", (5, 6, -1), (7,)),
        Operator("SOFTMAX", (7,), (8,)),
    ),
    inputs=(0,),
    outputs=(8,),
)  # fmt: skip


def test_work_of_a_graph_by_hand() -> None:
    # conv 64 values x 27, depthwise 64 x 9, fully connected 2 x 4; kernels write 64 + 64 + 2, MEAN 4, SOFTMAX 2
    assert graph_work(GRAPH) == Work(64 * 27, 64 * 9, 8, 130, 6)


def test_work_adds_up_over_operators() -> None:
    parts = [operator_work(operator, GRAPH) for operator in GRAPH.operators]
    assert parts[1] == Work(depthwise_macs=576, kernel_outputs=64)
    assert sum(parts[:2], Work()) + sum(parts[2:], Work()) == graph_work(GRAPH)


def test_least_squares_without_negative_coefficients() -> None:
    # Unbounded, (1, 0), (1, 1), (1, 2) -> 4, 2, 0 is 4 - 2x; without negatives the slope is 0 and the mean is left.
    matrix = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    assert non_negative_least_squares(matrix, np.array([4.0, 2.0, 0.0])) == pytest.approx([2.0, 0.0])
    assert non_negative_least_squares(matrix, np.array([1.0, 3.0, 5.0])) == pytest.approx([1.0, 2.0])
    assert non_negative_least_squares(-matrix, np.array([1.0, 1.0, 1.0])) == pytest.approx([0.0, 0.0])


NETWORKS = (
    Work(conv_macs=1_000_000, kernel_outputs=20_000),
    Work(conv_macs=2_000_000, depthwise_macs=500_000, kernel_outputs=90_000, other_outputs=10_000),
    Work(fully_connected_macs=300_000, kernel_outputs=1_000),
)


def made_up(core: str, work: Work, cycles: float, runtime: str = "vendor") -> Measurement:
    return Measurement("net", f"a {core}", core, 100, runtime, "", "", cycles / 100e3, work, "nowhere")


def test_a_made_up_fit_is_recovered() -> None:
    def cycles(work: Work) -> float:  # 2 for a MAC, 3 for one that is fully connected, 40 for a value
        macs = work.conv_macs + work.depthwise_macs
        return 2 * macs + 3 * work.fully_connected_macs + 40 * (work.kernel_outputs + work.other_outputs)

    rows = [made_up("cortex-m4", work, cycles(work)) for work in NETWORKS]
    rows += [made_up("cortex-m7", work, cycles(work) * 0.5) for work in NETWORKS]
    found = fit(rows)
    assert found.cycles_per["vendor"] == pytest.approx((2, 3, 40), rel=1e-6)
    assert found.slowness == pytest.approx({"cortex-m4": 1, "cortex-m7": 0.5}, rel=1e-6)
    assert found.cycles(NETWORKS[1], "cortex-m7", "vendor") == pytest.approx(0.5 * (2 * 2_500_000 + 40 * 100_000))


def test_errors_are_relative() -> None:
    """A hundred times the work at 3 cycles weighs no more than the small one at 1: least squares of 1/c give 1.2."""
    small, large = Work(conv_macs=1_000), Work(conv_macs=100_000)
    found = fit([made_up("cortex-m4", small, 1_000, "tflm"), made_up("cortex-m4", large, 300_000, "tflm")])
    # least (x/1 - 1)^2 + (x/3 - 1)^2: x = (1 + 1/3) / (1 + 1/9) = 1.2
    assert found.cycles_per["tflm"] == pytest.approx((1.2,))


def test_a_core_carries_over_only_to_a_runtime_measured_on_its_like() -> None:
    rows = [made_up(core, NETWORKS[0], 1e6) for core in ("cortex-m4", "cortex-m33", "cortex-m0plus")]
    rows.append(made_up("cortex-m4", NETWORKS[0], 9e6, "tflm"))
    found = fit(rows)
    assert found.cycles(NETWORKS[0], "cortex-m33", "tflm") == pytest.approx(9e6)
    assert found.cycles(NETWORKS[0], "cortex-m0plus", "tflm") is None  # other kernels: it has no DSP extension
    assert found.cycles(NETWORKS[0], "cortex-m33", "tflm-cmsis-nn") is None  # measured nowhere


def test_no_row_that_drops_zero_filters_is_fitted() -> None:
    """Engines from v1.1 on ran this file, whose late filters are zero, in half the time; only HALE and TVM did not."""
    rows = [one for one in published() if one.model == "mlperf_vww_96"]
    # HALE 5 + 6 boards, Plumerai v1.0 4, X-CUBE-AI 7.3 3 and 8.0 2, microTVM 2, TFLM 1, Renesas 1
    assert len(rows) == 24
    later = {one.runtime_name for one in rows if "v1.0" not in one.source and "v0.5" not in one.source}
    assert later == {"Bosch HALE", "X-CUBE-AI", "Renesas"}
    assert {one.version for one in rows if one.runtime_name == "X-CUBE-AI"} == {
        "7.3",
        "8.0",
    }  # 8.1 is the first that does


def test_published_rows_are_whole() -> None:
    for one in published():
        assert one.runtime in RUNTIMES
        assert one.latency_ms > 0
        assert one.work != Work()
        assert "MVP" not in one.runtime_name, "an accelerator"
        assert "@" in one.source or "tiny_results_v1.2" in one.source or "issue" in one.source, one.source
    assert not [key for key, times in Counter(published()).items() if times > 1]


def test_work_of_the_two_networks_without_a_file() -> None:
    """MLPerf Tiny's DS-CNN and autoencoder, from their topology; their published MACs are 2.66 M and 0.264 M."""
    works = {one.model: one.work for one in published()}
    values = 25 * 5 * 64  # 49 x 10 at stride 2, 64 channels: first 10 x 4, then four times depthwise 3 x 3 and 1 x 1
    assert works["mlperf_kws"] == Work(values * (40 + 4 * 64), 4 * values * 9, 768, 9 * values + 12, 64 + 64 + 12)
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    macs = sum(a * b for a, b in pairwise(widths))
    assert works["mlperf_ad"] == Work(fully_connected_macs=macs, kernel_outputs=sum(widths[1:]))
    assert (sum((2_368_000, 288_000, 768)), macs) == (2_656_768, 264_192)
    student = works["vww_student_80"]  # 3,993,536 published
    assert student.conv_macs + student.depthwise_macs + student.fully_connected_macs == 3_993_536


def test_work_equals_the_layers_of_the_measured_files() -> None:
    layers = GROUND_TRUTH / "layers.csv"
    if not layers.is_file():
        pytest.skip(f"no {layers.name} of the measured files here; DSE_GROUNDTRUTH names its folder")
    works: dict[str, Work] = {}
    with layers.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            weights, output = (
                int8(*map(int, filter(None, row[key].split("x")))) for key in ("weight_shape", "out_shape")
            )
            graph = OperatorGraph((int8(1), weights, output), (Operator(row["op"], (0, 1, -1), (2,)),), (0,), (2,))
            assert macs_of(graph.operators[0], graph.tensors) == int(row["macs"]), row
            works[row["model"]] = works.get(row["model"], Work()) + graph_work(graph)
    known = [one for one in published() if one.model in works]
    assert len({one.model for one in known}) == 14
    for one in known:
        assert one.work == works[one.model], one.model


def test_figures_equal_the_published_ones() -> None:
    measurements = GROUND_TRUTH / "measurements.csv"
    if not measurements.is_file():
        pytest.skip(f"no {measurements.name} here; DSE_GROUNDTRUTH names its folder")
    with measurements.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["latency_ms"]]
    there = {
        (r["model"], r["board"], float(r["clock_mhz"].rstrip("?")), float(r["latency_ms"]), r["source"]) for r in rows
    }
    starred = {(r["model"], r["source"]) for r in rows if "all-zero filters" in r["note"]}
    assert starred
    compared = 0
    for one in published():
        assert (one.model, one.source) not in starred
        if one.model in {row["model"] for row in rows} and "issue" not in one.source:
            assert (one.model, one.board, one.clock_mhz, one.latency_ms, one.source) in there
            compared += 1
    # 120 latencies less 17 that drop filters, 12 repeated by others, 2 of TVM's own kernels, 2 of an accelerator, 1 slow mode
    assert compared == 120 - 17 - 12 - 2 - 2 - 1


def test_the_spread_is_what_held_out_boards_say() -> None:
    assert SPREAD.keys() == RUNTIMES.keys()
    rows = leave_one_board_out()
    for runtime, (low, high) in SPREAD.items():
        measured_low, measured_high = spread(rows, runtime)
        assert low <= measured_low < low + 0.01, runtime
        assert high - 0.01 < measured_high <= high, runtime
    for group in {(row.measurement.core, row.measurement.runtime) for row in rows}:
        held = [row.inside for row in rows if (row.measurement.core, row.measurement.runtime) == group]
        assert sum(held) >= SHARE * len(held), group


@pytest.mark.parametrize(
    ("model", "board", "runtime", "milliseconds"),
    [
        ("mlperf_resnet8", "DISCO-F746NG", "vendor", 62.877),
        ("mlperf_resnet8", "NUCLEO-L4R5ZI", "tflm-cmsis-nn", 389.56),
        ("mlperf_vww_96", "nRF5340-DK", "tflm-cmsis-nn", 232.019),
        ("mcunet_vww1", "STM32H743", "tflm", 1120),
        ("tflm_person_detect", "NUCLEO-F413ZH", "tflm", 13005.446),
    ],
)
def test_the_range_contains_what_was_measured(model: str, board: str, runtime: str, milliseconds: float) -> None:
    (one,) = [
        one
        for one in published()
        if (one.model, one.board, one.runtime, one.latency_ms) == (model, board, runtime, milliseconds)
    ]
    found = latency_range(one.work, one.core, one.clock_mhz, runtime)
    assert found
    assert found.low_ms < milliseconds < found.high_ms


def test_a_range_by_hand() -> None:
    work = Work(conv_macs=1_000_000, fully_connected_macs=1_000, kernel_outputs=10_000, other_outputs=5_000)
    mac, fully_connected, value = published_fit().cycles_per["tflm-cmsis-nn"]
    cycles = published_fit().slowness["cortex-m7"] * (1_000_000 * mac + 1_000 * fully_connected + 15_000 * value)
    found = latency_range(work, "cortex-m7", 600, "tflm-cmsis-nn")
    assert found
    assert found.low_ms == pytest.approx(cycles / 600_000 * 0.79)
    assert found.high_ms == pytest.approx(cycles / 600_000 * 1.94)
    half = latency_range(work, "cortex-m7", 300, "tflm-cmsis-nn")
    assert half
    assert half.low_ms == pytest.approx(2 * found.low_ms)
    assert str(LatencyRange(2, 8.128, "tflm")) == "2 ms to 8.13 ms (tflm)"


def test_no_work_costs_nothing_and_every_kind_of_work_costs_something() -> None:
    for core, runtime in {(one.core, one.runtime) for one in published()}:
        for field in ("conv_macs", "depthwise_macs", "fully_connected_macs", "kernel_outputs", "other_outputs"):
            found = latency_range(replace(Work(), **{field: 1_000_000}), core, 100, runtime)
            assert found, (core, runtime)
            assert 0 < found.low_ms < found.high_ms, (core, runtime, field)


@pytest.mark.parametrize(
    ("core", "runtime", "reason"),
    [
        ("cortex-a72", "", "no latency: what runs there was not measured; measured: tflm, tflm-cmsis-nn, vendor"),
        (
            "cortex-a72",
            "tflm",
            "no latency: tflm was measured on cortex-m4, cortex-m7, esp32, and 'cortex-a72' is like none",
        ),
        (
            "cortex-m0plus",
            "tflm",
            "no latency: tflm was measured on cortex-m4, cortex-m7, esp32, and 'cortex-m0plus' is",
        ),
        (
            "cortex-m85",
            "tflm-cmsis-nn",
            "no latency: tflm-cmsis-nn was measured on cortex-m33, cortex-m4, cortex-m7, and",
        ),
    ],
)
def test_no_measurement_no_latency_and_a_reason(core: str, runtime: str, reason: str) -> None:
    assert latency_range(NETWORKS[0], core, 100, runtime) is None
    assert describe(core, runtime).startswith(reason)


def test_what_stands_behind_a_latency_is_said() -> None:
    assert describe("cortex-m4", "tflm") == (
        "modelled: cortex-m4 and tflm from 1 measurement of TFLM with its reference kernels on NUCLEO-F413ZH; any other "
        "board with this core is scaled by its clock"
    )
    assert describe("cortex-m33", "tflm") == (
        "modelled: tflm was not measured on cortex-m33; scaled to it from 2 measurements of TFLM with its reference "
        "kernels on NUCLEO-F413ZH, STM32H743"
    )


def test_every_shipped_board_has_a_latency_or_a_reason() -> None:
    boards = {path.stem: load_board(path.stem) for path in list_boards()}
    for name, board in boards.items():
        for runtime in ("", *RUNTIMES):
            found = board_latency(NETWORKS[1], board, runtime)
            latency = runtime or board.build.latency
            text = describe(board.core, latency)
            assert text.startswith("no latency: " if found is None else "modelled: "), name
            if found:
                assert found.runtime == latency
            if board.core in ("cortex-m4", "cortex-m7", "cortex-m33") and not (
                board.core == "cortex-m33" and not runtime
            ):
                assert found, (name, latency)


def test_energy_by_hand_where_volts_and_milliamperes_have_sources() -> None:
    latency = LatencyRange(100, 200, "tflm")
    # 100 ms x 3.3 V x 40 mA = 13.2 mJ
    found = energy_range(latency, load_board("nano33ble"))
    assert found
    assert (found.low_mj, found.high_mj) == pytest.approx((13.2, 26.4))
    assert str(EnergyRange(13.2, 26.4)) == "13.2 mJ to 26.4 mJ"
    assert energy_range(latency, load_board("imxrt1060")) is None


def test_volts_without_milliamperes_are_a_mistake(tmp_path: Path) -> None:
    (path,) = [path for path in list_boards() if path.stem == "nano33ble"]
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    start = lines.index("active_milliamps:\n")
    wrong = tmp_path / "half.yaml"
    wrong.write_text("".join(lines[:start] + lines[start + 3 :]), encoding="utf-8")
    with pytest.raises(FileError, match="give both or neither"):
        load_board(str(wrong))
    assert isinstance(load_board("nano33ble"), Board)
