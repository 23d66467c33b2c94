"""The bundles that are committed run as they report: all that needs no data set, and their C++ files on the host."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.rows import read_rows
from dse.export.bundle import read_bundle
from dse.export.check import check_bundle
from dse.export.readme import readme
from dse.export.report import read_report
from tests.helpers.compilers import CORES, built, compiled, run
from tests.helpers.paths import RESULTS

BUNDLES = sorted(path.parent for path in RESULTS.glob("*/bundles/*/report.json"))
TEST_IMAGES = {"cifar10": 10_000, "vww": 1_500}
# The run whose networks differ in the blocks that take most care in int8.
CARE = [folder for folder in BUNDLES if folder.parent.parent.name == "cifar10-imxrt1060"]


def named(folder: Path) -> str:
    return f"{folder.parent.parent.name}/{folder.name}"


def test_there_are_bundles() -> None:
    assert len(BUNDLES) >= 14
    blocks = [{block.kind for block in read_bundle(folder).models.candidate.blocks} for folder in CARE]
    assert any("dpd" in kinds for kinds in blocks)
    assert any("bneck" in kinds for kinds in blocks)
    assert any("shuffle" in kinds for kinds in blocks)


@pytest.mark.keras
@pytest.mark.tflm
@pytest.mark.parametrize("folder", BUNDLES, ids=named)
def test_a_committed_bundle_is_as_it_reports(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert check_bundle(bundle, None, print) == []
    assert bundle.report.test_images == TEST_IMAGES[bundle.report.task.dataset]
    assert abs(bundle.report.int8_loss) <= 0.01
    assert not bundle.report.warning


@pytest.mark.parametrize("folder", BUNDLES, ids=named)
def test_a_committed_report_is_the_dump_of_its_model(folder: Path) -> None:
    report = read_report(folder)
    assert report.to_json() == (folder / "report.json").read_text(encoding="utf-8")
    assert readme(report) == (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.compiler
@pytest.mark.parametrize("folder", CARE, ids=named)
def test_its_firmware_runs(folder: Path, tmp_path: Path) -> None:
    for core in CORES:
        compiled(folder / "firmware", core, tmp_path)
    assert run(built(folder / "firmware", "self_test", tmp_path))[0] == 0


@pytest.mark.keras
@pytest.mark.parametrize("name", ["distillation", "pruning"])
def test_a_page_says_what_its_measurements_say(name: str) -> None:
    from benchmarks.compression_scores import table

    folder = RESULTS / "cifar10-compression"
    with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {line["seed"] for line in lines} == {"1", "2", "3"}
    assert table(lines) in (folder / "README.md").read_text(encoding="utf-8")


def test_searches_are_as_their_page_and_the_list_of_explorers_say() -> None:
    from benchmarks.search_tables import mean, tables
    from dse.search.explorers.names import FOUND

    folder = RESULTS / "search-benchmark"
    rows = read_rows(folder / "searches.csv")
    page = (folder / "README.md").read_text(encoding="utf-8")
    for name, text in tables(rows).items():
        assert text in page, name
    macro = [row for row in rows if row["table"] == "nas-bench-macro" and row["best_of"] == "1"]
    for explorer, found in FOUND.items():
        mine = [row for row in macro if row["explorer"] == explorer]
        assert len(mine) == 20
        assert found == tuple(round(100 * mean(mine, mark)) for mark in ("40", "160")), explorer


@pytest.mark.keras
def test_a_run_is_measured() -> None:
    from benchmarks.compression_scores import measured, table

    (line,) = measured([RESULTS / "person-mobilenet-v2"])
    assert (line["file_bytes"], line["int8"]) == ("600896", "0.7013")
    assert int(line["compressed_bytes"]) < 600_896
    other = line | {"method": "other", "int8": "0.7113"}
    assert table([line, other]).splitlines()[3].startswith("| other | 71.1 | 71.1 % | +1.0 | +1.0 | 412,770 |")
