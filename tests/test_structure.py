"""The shape of the code: few rooms, short files, and what the light commands may import.

Which package may import which stands in `pyproject.toml` and is checked by `make lint`.
"""

from __future__ import annotations

import subprocess
import sys

import grimp
import pytest

from tests.helpers.paths import MODELS, PACKAGE

HEAVY = ("tensorflow", "keras", "ray", "optuna", "nni")
MODULES_BESIDE_PACKAGES = 5
ARROWS = 154  # ordered pairs of packages and modules at the top with an import between them
LINES = 420


def test_the_top_level_holds_packages() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MODULES_BESIDE_PACKAGES


def test_few_arrows_lie_between_the_rooms() -> None:
    graph = grimp.build_graph("dse")
    rooms = {module: ".".join(module.split(".")[:2]) for module in graph.modules}
    arrows = {
        (rooms[module], rooms[other])
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
        if rooms[module] != rooms[other]
    }
    assert len(rooms) > 150
    assert len(arrows) <= ARROWS


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["check", "cmv3.yaml", "nano33ble"],
        ["cost", "cmv3.yaml", "--board", "nano33ble"],
        ["cost", str(MODELS / "mlperf_resnet8.tflite"), "--board", "nano33ble"],
    ],
)
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom dse.cli import cli\n"
        f"cli.main({arguments!r}, standalone_mode=False)\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stderr


def test_files_stay_short() -> None:
    long = {path.name: n for path in PACKAGE.rglob("*.py") if (n := len(path.read_text("utf-8").splitlines())) > LINES}
    assert not long
