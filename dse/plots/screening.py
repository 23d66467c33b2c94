"""A screening as a picture: how each cost is spread, with the limits of the boards, and MACs against the arena."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse._util.files import write_atomic
from dse.cost.metrics import BY_NAME, METRICS, Metric
from dse.hardware.budget import Budget
from dse.screening.report import ScreenReport, fitting_rows, shown, spread_name
from dse.screening.screening import Screened

PANELS = [metric.name for metric in METRICS if metric.drawn in ("always", "screening")]
SCATTER = BY_NAME["arena_bytes"], BY_NAME["macs"]
BINS = 60
MAX_POINTS = 5_000  # of the scatter: more would be a blot, and a slow page
COLOURS = ("#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#b45309", "#0e7490")
GREY = "#9aa5b1"


def write_screen_plots(screened: Screened, figures: ScreenReport, folder: Path) -> list[Path]:
    """Writes screen.html, which works offline, and screen.png; returns their paths."""
    page, picture = folder / "screen.html", folder / "screen.png"
    write_atomic(page, str(draw_figure(screened, figures).to_html(include_plotlyjs=True, full_html=True)))
    write_atomic(picture, draw_png(screened, figures))
    return [page, picture]


@dataclass(frozen=True)
class Panel:
    """One cost with how it is spread, and which boards limit it; on a board where it depends on one."""

    metric: Metric
    budget: Budget | None

    @property
    def label(self) -> str:
        """What stands below it."""
        return spread_name(self.metric.axis, self.budget)

    def limits(self, figures: ScreenReport) -> list[tuple[float, str]]:
        """Where the limits of boards stand in it, with their colours."""
        return [
            (fit.limits[self.metric.name] / self.metric.scale, COLOURS[index % len(COLOURS)])
            for index, fit in enumerate(figures.fits)
            if self.metric.name in fit.limits and self.budget in (None, fit.budget)
        ]


def histogram(screened: Screened, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Counts (BINS,) and edges (BINS + 1,) of one cost; what lies beyond 99.5 % is in the last bin."""
    values = screened.column(panel.metric.name, panel.budget)[screened.possible] / panel.metric.scale
    highest = float(np.percentile(values, 99.5))
    return np.histogram(np.minimum(values, highest), BINS, (0.0, highest or 1.0))


def points(screened: Screened, figures: ScreenReport) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """Name, colour, and both axes of SCATTER, of each cloud: what fits no board, and what fits each."""
    drawn = np.flatnonzero(screened.possible)
    drawn = drawn[:: max(1, len(drawn) // MAX_POINTS)]
    arena, macs = (screened.column(axis.name)[drawn] / axis.scale for axis in SCATTER)
    fitting = [fitting_rows(screened, fit.budget)[drawn] for fit in figures.fits]
    none = ~np.logical_or.reduce(fitting)
    clouds = [("fits none", GREY, arena[none], macs[none])]
    # The board that most fit first, so that what fits a smaller one is drawn over it.
    for index in sorted(range(len(fitting)), key=lambda i: -figures.fits[i].fitting):
        colour = COLOURS[index % len(COLOURS)]
        clouds.append((f"fits {figures.fits[index].board}", colour, arena[fitting[index]], macs[fitting[index]]))
    return clouds


def panels(figures: ScreenReport) -> list[Panel]:
    """What is drawn: PANELS, and whatever else limits a board."""
    found = [Panel(BY_NAME[name], budget) for name, budget in shown([fit.budget for fit in figures.fits], PANELS)]
    return sorted((panel for panel in found if panel.metric.panel), key=lambda panel: panel.metric.panel)


def _title(figures: ScreenReport) -> str:
    shares = ", ".join(f"{fit.share:.1%} fit {fit.board}" for fit in figures.fits)
    return f"{figures.space}: {figures.count - figures.impossible:,} random networks; {shares}"


def draw_figure(screened: Screened, figures: ScreenReport) -> Any:
    """The picture as a Plotly figure."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    drawn = panels(figures)
    columns = len(drawn) + 1
    figure = make_subplots(rows=1, cols=columns, horizontal_spacing=0.04)
    for column, panel in enumerate(drawn, start=1):
        counts, edges = histogram(screened, panel)
        figure.add_trace(
            go.Bar(x=(edges[:-1] + edges[1:]) / 2, y=counts, marker={"color": GREY}, showlegend=False),
            row=1,
            col=column,
        )
        for limit, colour in panel.limits(figures):
            if limit <= 1.5 * edges[-1]:
                figure.add_vline(x=limit, line={"color": colour, "dash": "dash"}, row=1, col=column)
        figure.update_xaxes(title_text=panel.label, row=1, col=column)
    for name, colour, arena, macs in points(screened, figures):
        marker = {"color": colour, "size": 4, "opacity": 0.5}
        figure.add_trace(go.Scattergl(x=arena, y=macs, mode="markers", name=name, marker=marker), row=1, col=columns)
    figure.update_xaxes(title_text=SCATTER[0].axis, row=1, col=columns)
    figure.update_yaxes(title_text="candidates", row=1, col=1)
    figure.update_yaxes(title_text=SCATTER[1].axis, row=1, col=columns)
    legend = {"orientation": "h", "y": 1.1}
    figure.update_layout(title=_title(figures), template="plotly_white", height=480, bargap=0, legend=legend)
    return figure


def draw_png(screened: Screened, figures: ScreenReport) -> bytes:
    """The same picture as PNG, drawn by Matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn = panels(figures)
    figure, axes = pyplot.subplots(1, len(drawn) + 1, figsize=(3.6 * (len(drawn) + 1), 4.2), layout="constrained")
    for axis, panel in zip(axes, drawn, strict=False):
        counts, edges = histogram(screened, panel)
        axis.bar(edges[:-1], counts, np.diff(edges), align="edge", color=GREY)
        for limit, colour in panel.limits(figures):
            if limit <= 1.5 * edges[-1]:
                axis.axvline(limit, color=colour, linestyle="--")
        axis.set_xlabel(panel.label)
        if panel.budget:
            axis.locator_params(axis="x", nbins=4)  # its numbers may be long
    axes[0].set_ylabel("candidates")
    for name, colour, arena, macs in points(screened, figures):
        axes[-1].scatter(arena, macs, s=5, alpha=0.5, color=colour, label=name, linewidths=0)
    axes[-1].set_xlabel(SCATTER[0].axis)
    axes[-1].set_ylabel(SCATTER[1].axis)
    axes[-1].legend(loc="upper right", markerscale=3)
    figure.suptitle(_title(figures))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return buffer.getvalue()
