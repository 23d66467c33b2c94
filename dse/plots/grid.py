"""A grid of networks as a plot: what a file takes against what it gives."""

from __future__ import annotations

import html
import io
from pathlib import Path
from typing import Any

from dse._util.files import write_atomic
from dse.errors import DseError

PANELS = (
    ("latency ms", "latency on this machine (ms)"),
    ("accuracy", "validation accuracy (%)"),
    ("arena", "arena (KiB)"),
    ("MACs", "MACs (millions)"),
)
SCALE = {"accuracy": 100.0, "arena": 1 / 1024, "MACs": 1e-6}
MOST_PANELS = 2

Lines = dict[str, list[dict[str, Any]]]  # rows by the name of the line that they are points of


def write_grid_plot(path: Path, rows: list[dict[str, Any]], axes: list[str], title: str) -> None:
    """Draws rows of `dse table` into an HTML page that works offline, or a PNG: a line for each value of the last axis,
    and a panel for each of the first two figures of PANELS that the rows have."""
    if not any(_has_size(row) for row in rows):
        raise DseError(f"{path}: nothing to draw: no combination is a network")
    panels = [(key, label) for key, label in PANELS if any(row.get(key) is not None for row in rows)][:MOST_PANELS]
    draw = _page if path.suffix == ".html" else _picture
    write_atomic(path, draw(_lines(rows, axes), axes, panels, title))


def _size(row: dict[str, Any]) -> float:
    """Kilobytes of the file, measured or predicted."""
    return float(row.get("file") or row["flash"]) / 1000


def _has_size(row: dict[str, Any]) -> bool:
    return bool(row.get("file") or row.get("flash"))


def _lines(rows: list[dict[str, Any]], axes: list[str]) -> Lines:
    """The rows of each line, by its name: of one value of the last axis, in float or in int8."""
    lines: Lines = {}
    for row in rows:
        if _has_size(row):
            kind = {True: ", int8", False: ", float"}.get(row.get("quantized", ""), "")
            lines.setdefault(html.escape(f"{axes[-1]} {row[axes[-1]]}{kind}"), []).append(row)
    return {name: sorted(found, key=_size) for name, found in lines.items()}


def _points(line: list[dict[str, Any]], key: str, axes: list[str]) -> tuple[list[float], list[float], list[str]]:
    known = [row for row in line if row.get(key) is not None]
    names = [html.escape(", ".join(f"{axis} {row[axis]}" for axis in axes)) for row in known]
    return [_size(row) for row in known], [row[key] * SCALE.get(key, 1.0) for row in known], names


def _page(lines: Lines, axes: list[str], panels: list[tuple[str, str]], title: str) -> str:
    import plotly.graph_objects as go
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(panels))
    for number, (name, line) in enumerate(lines.items()):
        for column, (key, label) in enumerate(panels, 1):
            sizes, values, names = _points(line, key, axes)
            colour = qualitative.Dark24[number % 24]
            figure.add_trace(
                go.Scatter(
                    x=sizes, y=values, text=names, name=name, legendgroup=name, showlegend=column == 1,
                    mode="lines+markers", line={"color": colour, "dash": "dot" if name.endswith("float") else "solid"},
                ),
                1,
                column,
            )  # fmt: skip
            figure.update_xaxes(title_text="file (kB)", type="log", matches="x", row=1, col=column)
            figure.update_yaxes(title_text=label, row=1, col=column)
    figure.update_layout(title=title, template="plotly_white")
    return str(figure.to_html(include_plotlyjs=True, full_html=True))


def _picture(lines: Lines, axes: list[str], panels: list[tuple[str, str]], title: str) -> bytes:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    figure = Figure(figsize=(6 * len(panels), 5), layout="constrained")
    figure.suptitle(title)
    shown = figure.subplots(1, len(panels), squeeze=False, sharex=True)[0]
    for axis, (key, label) in zip(shown, panels, strict=True):
        for name, line in lines.items():
            sizes, values, _ = _points(line, key, axes)
            axis.plot(sizes, values, "o:" if name.endswith("float") else "o-", markersize=4, label=name)
        axis.set(xlabel="file (kB)", ylabel=label, xscale="log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(visible=True, alpha=0.3)
    axis.legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
