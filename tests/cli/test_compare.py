"""Two models side by side, and a fit that a script can require."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dse.cli import cli
from dse.cli.compare_command import aligned
from dse.cli.priced import Part, Priced, price
from dse.errors import DseError
from dse.space.space import Space
from tests.helpers.paths import MODELS

SMALL, LARGE = (str(MODELS / f"colabnas_vww_{name}.tflite") for name in ("k2c3", "k8c5"))


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def of_parts(*parts: tuple[str, int]) -> Priced:
    """A model of which only kinds and MACs are looked at."""
    report = priced(SMALL).report
    return Priced("", {}, report, tuple(Part(str(i), kind, "", 0, macs) for i, (kind, macs) in enumerate(parts)))


def priced(what: str) -> Priced:
    model = price(what, quiet=True)
    assert isinstance(model, Priced)
    return model


def test_equal_parts_stand_side_by_side() -> None:
    first = of_parts(("CONV", 1), ("ADD", 0), ("MEAN", 0))
    second = of_parts(("CONV", 2), ("ADD", 0), ("POOL", 0), ("MEAN", 0))
    assert [(a and (a.kind, a.macs), b and (b.kind, b.macs)) for a, b in aligned(first, second)] == [
        (("CONV", 1), ("CONV", 2)),
        (("ADD", 0), ("ADD", 0)),
        (None, ("POOL", 0)),
        (("MEAN", 0), ("MEAN", 0)),
    ]


def test_two_models_side_by_side() -> None:
    text = run("compare", SMALL, LARGE, "--board", "fs32k142")
    small, large = (priced(path).report for path in (SMALL, LARGE))
    change = large.params - small.params
    assert f"{small.params:,}" in text
    assert f"{change:+,} ({change / small.params:+.1%})" in text
    assert "fits: " in text
    assert "does not fit: " in text  # the larger one takes 31 KiB of 20
    body = json.loads(run("compare", SMALL, LARGE, "--board", "fs32k142", "--json"))
    assert [model["macs"] for model in body["models"]] == [small.macs, large.macs]
    assert [model["boards"][0]["fits"] for model in body["models"]] == [True, False]
    for side, report in enumerate((small, large)):
        assert sum(pair[side]["macs"] for pair in body["operators"] if pair[side]) == report.macs
    assert "operator by operator the same" in run("compare", SMALL, SMALL)
    assert "equal" not in run("compare", SMALL, LARGE, "--all")


def test_a_space_is_no_model(tmp_path: Path) -> None:
    assert isinstance(price("mixed"), Space)
    for arguments, expected in (
        (["compare", SMALL, "mixed"], "mixed is a space of many networks; expected one network"),
        (
            ["cost", "mixed", "--board", "nano33ble", "--require-fit"],
            "--require-fit: mixed is a space of many networks",
        ),
        (["cost", SMALL, "--require-fit"], "--require-fit: expected a --board to fit"),
    ):
        done = CliRunner().invoke(cli, arguments)
        assert isinstance(done.exception, DseError)
        assert expected in str(done.exception)


@pytest.mark.parametrize("form", ["--json", "--layers"])
def test_a_script_can_require_that_a_model_fits(form: str) -> None:
    arguments = ["cost", LARGE, "--board", "nano33ble", form, "--require-fit"]
    fits = CliRunner().invoke(cli, arguments)
    assert fits.exit_code == 0
    done = CliRunner().invoke(cli, [*arguments, "--board", "fs32k142"])
    assert done.exit_code == 1
    assert done.output.startswith(fits.output[:40])  # all is said all the same


def test_the_answer_comes_before_the_layers() -> None:
    lines = run("cost", LARGE, "--board", "nano33ble", "--board", "fs32k142", "--layers").splitlines()
    places = [
        next(number for number, line in enumerate(lines) if text in line)
        for text in ("nano33ble: fits", "fs32k142: does not fit", "arena: ", "flash: ", "│ 0 ", "│ total")
    ]
    assert places == sorted(places)
    bars = [line for line in lines if "░" in line or "█" in line]
    assert [line.split()[0] for line in bars] == ["arena", "flash", "arena", "flash"]
    assert "░" not in bars[2]  # more than there is
    assert "│" not in run("cost", LARGE)


def test_limits_stand_for_a_board_that_has_no_file() -> None:
    report = priced(LARGE).report
    arguments = ["--max-memory", "32KiB", "--max-flash", "40kB", "--build", "tflm", "--json"]
    body = json.loads(run("cost", LARGE, *arguments))
    assert (body["board"], body["fits"]) == ("generic", False)
    assert body["left"] == {"arena_bytes": 32_768 - body["arena_bytes"], "flash_bytes": 40_000 - report.flash_bytes}
    on_board = json.loads(run("cost", LARGE, "--board", "nano33ble", "--max-flash", "40kB", "--json"))
    assert on_board["left"]["flash_bytes"] == body["left"]["flash_bytes"]
    assert on_board["left"]["arena_bytes"] > 150_000
    assert "generic" not in run("boards")  # it is none that has room
    assert run("check", "generic").startswith("generic: board generic")
    refused = CliRunner().invoke(cli, ["cost", "mixed", "--max-memory", "32KiB"])
    assert "mixed is a space of many networks: dse screen takes limits for it" in str(refused.exception)


def test_kernels_are_those_of_the_core() -> None:
    """Those of ESP-NN ask for most on an ESP32-S3; a Cortex-M has none of them."""
    at_most = ["cost", LARGE, "--max-memory", "1MB", "--build", "tflm-esp-nn", "--json"]
    on_s3 = ["cost", LARGE, "--board", "esp32-s3", "--build", "tflm-esp-nn", "--json"]
    assert json.loads(run(*at_most))["arena_bytes"] == json.loads(run(*on_s3))["arena_bytes"]
    refused = CliRunner().invoke(cli, ["cost", LARGE, "--board", "nano33ble", "--build", "tflm-esp-nn"])
    assert "--build tflm-esp-nn: it has kernels of esp-nn, and nano33ble is cortex-m4" in str(refused.exception)
    every = run("cost", LARGE, "--board", "all", "--build", "tflm-esp-nn", "--json").splitlines()
    assert {json.loads(line)["board"] for line in every} >= {"esp32", "esp32-s3", "arduino-nano-esp32"}
    assert "nano33ble" not in "".join(every)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--json", "--arena"], "--json: expected neither --layers nor --arena"),
        (["--max-memory", ""], "--max-memory: '' is no amount"),
        (["--plot", "arena.svg"], "arena.svg: expected a file that ends with .html or .png"),
        (["--plot", "nowhere/arena.png"], "nowhere/arena.png: there is no folder nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_else(
    arguments: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["cost", LARGE, *arguments])
    assert expected in str(done.exception)
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_source_without_a_model_is_named(tmp_path: Path) -> None:
    source = tmp_path / "main.c"
    source.write_text("int main(void) { return 0; }\n")
    done = CliRunner().invoke(cli, ["cost", str(source)])
    assert str(done.exception) == f"{source}: holds no array of a .tflite model"
