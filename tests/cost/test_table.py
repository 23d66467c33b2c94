"""dse show and dse table: what a network is, row by row, and what a space costs on a grid."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from dse.cli import cli
from dse.cost.report import estimate
from dse.cost.table import COLUMNS, network_table
from dse.cost.tflm.arrange import arranged
from dse.cost.tflm.lowering import lower
from dse.cost.tflm.planner import lifetimes, peak
from dse.errors import DseError
from dse.network.candidate import Candidate
from dse.plots import grid as grid_plot
from dse.references.networks import load_reference, only_network
from dse.screening.grid import grid, parse_axes, plain
from dse.search.run_folder import load_summary
from dse.space.space import list_references, load_space
from tests.helpers.paths import RUN

NAMES = [path.stem for path in list_references()]


def reference_file(name: str) -> Path:
    return next(path for path in list_references() if path.stem == name)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.mark.parametrize("name", NAMES)
def test_rows_add_up_to_the_cost(name: str) -> None:
    candidate = load_reference(name).candidate()
    rows, cost = network_table(candidate), estimate(candidate.network)
    assert sum(row.params for row in rows) == cost.params
    assert sum(row.macs for row in rows) == cost.macs
    graph, _, _ = arranged(lower(candidate.network))
    assert max(row.memory_bytes for row in rows) == peak(lifetimes(graph)).num_bytes
    assert sum(row.weight_bytes for row in rows) == sum(t.num_bytes for t in graph.tensors if t.constant)
    assert rows[0].input == candidate.input_shape
    assert rows[-1].channels == candidate.classes


def test_random_candidates_add_up_too(random_candidates: list[Candidate]) -> None:
    for candidate in random_candidates[::8]:
        rows, cost = network_table(candidate), estimate(candidate.network)
        assert (sum(row.params for row in rows), sum(row.macs for row in rows)) == (cost.params, cost.macs)


def test_the_rows_of_cmv3_are_those_of_its_table() -> None:
    """Input, operator, e, c, SE, NL and s of the thesis's table 5.1 at width 1; 288 and 592 are cut to whole factors."""
    rows = [row.cells()[:7] for row in network_table(load_reference("cmv3").candidate(width=1.0))]
    assert rows == [
        ("32x32x3", "conv 3x3", "-", "16", "-", "hswish", "1"),
        ("32x32x16", "bneck 3x3", "48", "32", "0.25", "hswish", "1"),
        ("32x32x32", "dpd 3x3", "64", "40", "-", "mish", "1"),
        ("32x32x40", "dpd 3x3", "240", "40", "-", "mish", "1"),
        ("32x32x40", "bneck 5x5", "160", "48", "0.25", "hswish", "2"),
        ("16x16x48", "dpd 5x5", "288", "96", "-", "mish", "1"),
        ("16x16x96", "dpd 5x5", "576", "128", "-", "mish", "1"),
        ("16x16x128", "conv 1x1", "-", "256", "0.25", "hswish", "1"),
        ("16x16x256", "mean", "-", "256", "-", "-", "1"),
        ("1x1x256", "conv 1x1", "-", "576", "-", "hswish", "1"),
        ("1x1x576", "dense", "-", "10", "-", "-", "1"),
    ]


def test_show_for_people_and_for_papers(tmp_path: Path) -> None:
    shown = run("show", "cmv3", "--width", "1.0").output
    assert "408,330" in shown
    assert "89.13 %" in shown
    lines = run("show", "reference/cmv3.yaml", "--markdown").output.splitlines()
    assert lines[2] == f"| {' | '.join(COLUMNS)} |"
    assert "| 32x32x3 | conv 3x3 | - | 16 | - | hswish | 1 | 496 | 442,368 | 496 | 32,768 |" in lines
    body = json.loads(run("show", "shufflenet_g3", "--json").output)
    assert sum(row["macs"] for row in body["rows"]) == 137_460_672
    assert {figure["network"] for figure in body["published"]} == {"shufflenet_g3"}
    file = tmp_path / "mine.json"
    file.write_text(load_reference("cifar_cnn").candidate().to_json())
    assert "flatten" in run("show", str(file)).output


def test_show_refuses_what_is_no_single_network(tmp_path: Path) -> None:
    with pytest.raises(DseError, match=r"space of many networks, expected one: stem.channels.* and \d+ more are open"):
        raise _error("show", "mixed.yaml")
    (tmp_path / "c.json").write_text(load_reference("cifar_cnn").candidate().to_json())
    with pytest.raises(DseError, match="unknown space 'mobilenet', did you mean 'mobilenet_v"):
        raise _error("show", "mobilenet")
    with pytest.raises(DseError, match="alexnet is counted for published tables only"):
        raise _error("show", "alexnet")
    (tmp_path / "blank.json").write_text("")
    with pytest.raises(DseError, match=r"blank.json: not a candidate"):
        raise _error("show", str(tmp_path / "blank.json"))
    with pytest.raises(DseError, match="written out and cannot be changed"):
        raise _error("show", str(tmp_path / "c.json"), "--width", "0.5")


def test_the_widths_of_cmv3() -> None:
    rows = json.loads(run("table", "--space", "reference/cmv3.yaml", "--grid", "width", "--json").output)
    assert [(row["width"], row["params"], row["published accuracy"]) for row in rows] == [
        (0.35, 61_874, "87.36 %"),
        (0.5, 117_050, "89.13 %"),
        (0.75, 238_730, "90.10 %"),
        (1.0, 408_330, "90.64 %"),
        (1.5, 879_154, "91.39 %"),
    ]


def test_a_product_of_two_axes_and_a_board() -> None:
    arguments = ("--grid", "width", "--grid", "resolution=96,160", "--board", "nano33ble")
    rows = json.loads(run("table", "--space", "reference/mobilenet_v2_vww.yaml", *arguments, "--json").output)
    assert len(rows) == 8
    assert [row["width"] for row in rows if row["fits nano33ble"]] == [0.35]
    assert rows[0]["published accuracy"] == "0.86"
    markdown = run("table", "--space", "reference/mobilenet_v2_vww.yaml", *arguments, "--markdown").output
    assert markdown.startswith(
        "| width | resolution | params | MACs | arena | in place | fused | flash | fits nano33ble |"
    )


def test_accuracies_come_from_a_run(tmp_path: Path) -> None:
    """A network that the committed run trained, written as a space of its own, however it would be trained."""
    record = max(load_summary(RUN).records, key=lambda record: record.values.get("accuracy", 0.0))
    assert record.candidate
    data = record.candidate.to_dict()
    text = yaml.safe_dump({"space": "again", "stages": data["blocks"], "head": data["head"]})
    (tmp_path / "again.yaml").write_text(text)
    arguments = ("--space", str(tmp_path / "again.yaml"), "--grid", "head.dropout=0.0,0.5", "--run", str(RUN), "--json")
    same, other = json.loads(run("table", *arguments).stdout)
    assert same["accuracy"] == record.values["accuracy"]
    assert other["accuracy"] is None


def test_a_place_that_is_not_there_is_told_the_nearest() -> None:
    with pytest.raises(DseError, match=r"--grid widht: no values are known there, did you mean 'width'"):
        raise _error("table", "--space", "vww", "--grid", "widht")


def test_classes_come_from_a_run_or_are_given() -> None:
    """The networks of the person run have two classes; without that none of its accuracies would be found."""
    person = str(RUN.parent / "person-nano33ble")
    best = max(
        (record for record in load_summary(Path(person)).records if record.candidate),
        key=lambda one: one.values.get("accuracy", 0.0),
    )
    assert best.candidate
    size, _, channels = best.candidate.input_shape
    backbone = f"backbone=cnn_{len(best.candidate.blocks) // 2 + 1}"  # a convolution and a pooling in turn
    command = ["table", "--space", "vww", "--json", "--grid", f"width,resolution={size}"]
    command += ["--grid", f"color={'grey' if channels == 1 else 'rgb'}", "--grid", backbone]
    done = run(*command, "--run", person)
    assert "classes 2" in done.stderr
    assert best.values["accuracy"] in [row["accuracy"] for row in json.loads(done.stdout)]
    two = json.loads(run(*command, "--classes", "2").stdout)
    ten = json.loads(run(*command).stdout)
    assert [row["params"] for row in two] == [row["params"] for row in json.loads(done.stdout)]
    assert all(few["params"] < many["params"] for few, many in zip(two, ten, strict=True))
    with pytest.raises(DseError, match="came runs of 2 and 10 classes; say which with --classes"):
        raise _error(*command, "--run", person, "--run", str(RUN))
    done = run(*command, "--run", person, "--run", str(RUN), "--classes", "10")
    assert "networks that were trained there is on this grid" in done.stderr
    said = json.loads(done.stdout)
    assert [row["params"] for row in said] == [row["params"] for row in ten]


def test_what_is_not_on_the_grid_has_its_first_value() -> None:
    done = run("table", "--space", "vww", "--grid", "width,resolution=48,96", "--json")
    rows = json.loads(done.stdout)
    assert [(row["width"], row["resolution"]) for row in rows] == list(product([0.35, 0.5, 0.75, 1.0], [48, 96]))
    assert "besides: color rgb, backbone mobilenet_v2, classes 10" in done.stderr
    wide = load_reference("mobilenet_v2_vww").candidate(classes=10, width=0.75)
    assert rows[5]["MACs"] == estimate(wide.network).macs
    small = json.loads(
        run("table", "--space", "vww", "--grid", "backbone=cnn_3,cnn_4", "--grid", "width", "--json").stdout
    )
    assert [row["width"] for row in small] == [0.25, 0.5, 1.0] * 2
    assert small[0]["MACs"] < small[3]["MACs"]


@pytest.mark.keras
@pytest.mark.tflm
def test_networks_measured_here(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "space: one\nresolution: 32\nwidth: {choice: [1.0, 2.0]}\nstages: [{block: conv, channels: 8, stride: 2}]\n"
    )
    for suffix in (".png", ".html"):
        command = ("table", "--space", str(tmp_path / "one.yaml"), "--grid", "width", "--measure", "--json")
        done = run(*command, "--plot", str(tmp_path / f"grid{suffix}"))
        rows = json.loads(done.stdout)
        assert [(row["width"], row["quantized"]) for row in rows] == [
            (1.0, False),
            (1.0, True),
            (2.0, False),
            (2.0, True),
        ]
        for row in rows:
            cost = estimate(only_network(load_space(str(tmp_path / "one.yaml")), width=row["width"]).network)
            assert row["latency ms"] > 0
            assert row["arena"] == (cost.arena_bytes if row["quantized"] else None)
            assert row["file"] == pytest.approx(cost.flash_bytes if row["quantized"] else row["file"], abs=300)
        assert rows[0]["file"] != rows[1]["file"]
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "grid.html").read_text()
    assert "width 2.0, int8" in page
    assert "latency on this machine (ms)" in page


def test_a_grid_plot_has_a_line_for_each_value_of_the_last_axis(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"width": w, "resolution": r, "flash": 1000 * r, "accuracy": w / 2, "arena": 2048, "MACs": 1}
        for w in (1, 2)
        for r in (8, 4)
    ]
    lines = grid_plot._lines(rows, ["width", "resolution"])
    assert list(lines) == ["resolution 8", "resolution 4"]
    assert grid_plot._points(lines["resolution 4"], "accuracy", ["width"]) == (
        [4.0, 4.0],
        [50.0, 100.0],
        ["width 1", "width 2"],
    )
    with pytest.raises(DseError, match="nothing to draw: no combination is a network"):
        grid_plot.write_grid_plot(tmp_path / "x.png", [{"width": 1, "flash": None}], ["width"], "x")
    grid_plot.write_grid_plot(tmp_path / "x.png", rows, ["width", "resolution"], "x")
    assert (tmp_path / "x.png").stat().st_size > 5000


def test_any_place_of_a_space_can_be_an_axis() -> None:
    assert plain("stages[2].kernel") == plain("stages.2.kernel") == "stages.2.kernel"
    space = load_space("reference/cmv3.yaml")
    points = grid(space, parse_axes(space, ["stages[0].kernel=3,5", "head.dropout=0.0,0.8"]))
    assert [tuple(point.values.values()) for point in points] == [(3, 0.0), (3, 0.8), (5, 0.0), (5, 0.8)]
    assert [point.cost.params for point in points if point.cost] == sorted(
        point.cost.params for point in points if point.cost
    )
    # What its file leaves out can be given too.
    space = load_space("simple_cnn_1")
    flat, pooled = grid(space, parse_axes(space, ["head.pooling=flatten,average"]))
    assert flat.cost
    assert pooled.cost
    assert flat.cost.params > pooled.cost.params


def test_published_accuracies_belong_to_the_network_itself(tmp_path: Path) -> None:
    """Found for any spelling of it, and not for a changed copy of its file."""
    rows = json.loads(
        run(
            "table", "--space", "reference/cmv3.yaml", "--grid", "head.dropout=0.8,0.5", "--grid", "width", "--json"
        ).output
    )
    assert [row["published accuracy"] for row in rows[:2]] == ["87.36 %", "89.13 %"]
    assert {row["published accuracy"] for row in rows[5:]} == {None}
    changed = tmp_path / "cmv3.yaml"
    changed.write_text(reference_file("cmv3").read_text().replace("channels: 256", "channels: 512"))
    rows = json.loads(run("table", "--space", str(changed), "--grid", "width", "--json").output)
    assert {row["published accuracy"] for row in rows} == {None}


def test_a_network_has_one_cost_however_it_is_named() -> None:
    names = ("mobilenet_v2", "reference/mobilenet_v2.yaml", str(reference_file("mobilenet_v2")))
    shown = [json.loads(run("show", name, "--json").output) for name in names]
    assert {sum(row["params"] for row in body["rows"]) for body in shown} == {3_538_984}
    assert all(body["published"] == shown[0]["published"] for body in shown)
    assert {json.loads(run("cost", name, "--json").output)["params"] for name in names} == {3_538_984}
    row = json.loads(run("table", "--space", "mobilenet_v2", "--grid", "width=1.0", "--json").output)[0]
    assert row["params"] == 3_538_984


def test_a_point_that_is_no_network_does_not_end_the_table() -> None:
    done = run("table", "--space", "mobilenet_v2", "--grid", "resolution=8,224", "--json")
    small, whole = json.loads(done.stdout)
    assert small["params"] is None
    assert whole["params"] == 3_538_984
    assert "resolution 8: " in done.stderr
    assert "impossible network: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reference/cmv3.yaml", "--grid", "widht"), "did you mean 'width'"),
        (("reference/cmv3.yaml", "--grid", "stages.9.kernel=3"), "there is nothing at 'stages.9.kernel'"),
        (("reference/cmv3.yaml", "--grid", "stages.99=3"), "there is nothing at 'stages.99'"),
        (("reference/cmv3.yaml", "--grid", "stages.x=3"), "there is nothing at 'stages.x'"),
        (("reference/cmv3.yaml", "--grid", "stages.².kernel=3"), "there is nothing at"),
        (("reference/cmv3.yaml", "--grid", "about.x=3"), "there is nothing at 'about.x'"),
        (("reference/cmv3.yaml", "--grid", "width.0=3"), "there is nothing at 'width.0'"),
        (("reference/cmv3.yaml", "--grid", "width="), "expected KEY or KEY=a,b,c"),
        (("reference/cmv3.yaml", "--grid", ""), "expected KEY or KEY=a,b,c"),
        (("reference/cmv3.yaml", "--grid", "width=1,2", "--grid", "width=0.5"), "width has been given values already"),
        (("reference/cmv3.yaml", "--grid", "reference.classes=3"), "reference is about the network"),
        (("reference/cmv3.yaml", "--grid", "width", "--json", "--markdown"), "expected one of them"),
        (("alexnet", "--grid", "width"), "unknown space 'alexnet'"),
        (("cmv3", "--grid", "width", "--plot", "x.jpg"), "--plot x.jpg: expected a name that ends in .html or .png"),
        (
            ("vww", "--grid", "backbone=cnn_9", "--grid", "width"),
            "unknown backbone 'cnn_9'; known: mobilenet_v2, cnn_3",
        ),
        (("mixed", "--grid", "backbone=cnn_9"), "unknown backbone 'cnn_9'; known: none, there is no choice of them"),
        (("reference/cmv3.yaml", "--grid", "width=wide"), "^--grid: width: came 'wide', expected a number from 0.05"),
        (("vww", "--grid", "width=0.35,resolution"), "values come last, as in --grid resolution,width=0.35"),
        (("reference/cmv3.yaml", "--grid", "width=" + ",".join(map(str, np.arange(1, 1002)))), "1,001 points"),
    ],
)
def test_what_is_no_grid(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(DseError, match=message):
        raise _error("table", "--space", *arguments)


def _error(*arguments: str) -> BaseException:
    error = run(*arguments).exception
    assert error
    return error
