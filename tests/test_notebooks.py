"""The notebooks run from top to bottom on a real run."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.paths import ROOT


@pytest.mark.process
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSE_RUN", str(ROOT / "results" / "cifar10-mixed-nano33ble"))
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # none are committed
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    drawn = [
        output.data["application/vnd.plotly.v1+json"]
        for output in outputs
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(drawn) == 1
    assert (
        sum(len(trace["x"]["bdata"] if isinstance(trace["x"], dict) else trace["x"]) for trace in drawn[0]["data"]) > 0
    )
    assert any("text/html" in output.get("data", {}) for output in outputs)
