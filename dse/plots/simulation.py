"""How explorers did on a table: the share of the front's hypervolume by the number of trainings, or by their time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dse._util.files import write_atomic
from dse.simulation.report import Report, Searches

COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#b45309", "#0e7490", "#be185d", "#4d7c0f")
HOUR = 3600.0


def write_simulation_plot(report: Report, path: Path) -> None:
    """Writes an HTML page that works offline."""
    write_atomic(path, str(draw_figure(report).to_html(include_plotlyjs=True, full_html=True)))


def draw_figure(report: Report) -> Any:
    """The mean of each explorer as a line, its quartiles as a band."""
    from plotly.subplots import make_subplots

    timed = all(one.seconds is not None for one in report.searches)
    figure = make_subplots(rows=1, cols=2 if timed else 1, shared_yaxes=True, horizontal_spacing=0.03)
    for index, one in enumerate(report.searches):
        colour = COLOURS[index % len(COLOURS)]
        trainings = np.arange(1, one.shares.shape[1] + 1)
        _add(figure, 1, one, trainings, colour)
        if one.seconds is not None and timed:
            _add(figure, 2, one, one.seconds.mean(axis=0) / HOUR, colour)
    figure.update_xaxes(title_text="trainings", row=1, col=1)
    if timed:
        figure.update_xaxes(title_text="hours of training", row=1, col=2)
    figure.update_yaxes(title_text="share of the front's hypervolume", tickformat=".0%", row=1, col=1)
    figure.update_layout(
        title=f"{report.about}; {report.seeds} seeds", template="plotly_white", height=520,
        legend={"orientation": "h", "y": -0.18},
    )  # fmt: skip
    return figure


def _add(figure: Any, column: int, one: Searches, along: np.ndarray, colour: str) -> None:
    import plotly.graph_objects as go

    low, high = np.quantile(one.shares, [0.25, 0.75], axis=0)
    group = {"legendgroup": one.explorer, "line": {"color": colour}}
    band = go.Scatter(
        x=np.concatenate([along, along[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself", opacity=0.2,
        fillcolor=colour, line={"width": 0}, hoverinfo="skip", showlegend=False, legendgroup=one.explorer,
    )  # fmt: skip
    figure.add_trace(band, row=1, col=column)
    line = go.Scatter(x=along, y=one.shares.mean(axis=0), name=one.explorer, showlegend=column == 1, **group)
    figure.add_trace(line, row=1, col=column)
