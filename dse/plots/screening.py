"""A screening as a picture: how each cost is spread, with the limits of the boards, and MACs against the arena."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from dse._util.files import write_atomic
from dse.screening.report import ScreenReport, fitting_rows
from dse.screening.screening import Screened

PANELS = (
    ("arena_bytes", "arena (KiB)", 1024.0),
    ("flash_bytes", "file (KiB)", 1024.0),
    ("macs", "MACs (millions)", 1e6),
    ("params", "parameters (thousands)", 1e3),
)
IN_PLACE = ("inplace_bytes", "memory in place (KiB)", 1024.0)  # where a board is limited by it
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


def histogram(screened: Screened, name: str, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts (BINS,) and edges (BINS + 1,) of one cost; what lies beyond 99.5 % is in the last bin."""
    values = screened.column(name)[screened.possible] / unit
    highest = float(np.percentile(values, 99.5))
    return np.histogram(np.minimum(values, highest), BINS, (0.0, highest or 1.0))


def points(screened: Screened, figures: ScreenReport) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """Name, colour, arena (KiB) and MACs (millions) of each cloud: what fits no board, and what fits each."""
    shown = np.flatnonzero(screened.possible)
    shown = shown[:: max(1, len(shown) // MAX_POINTS)]
    arena, macs = screened.column("arena_bytes")[shown] / 1024, screened.column("macs")[shown] / 1e6
    fitting = [fitting_rows(screened, fit.limits)[shown] for fit in figures.fits]
    none = ~np.logical_or.reduce(fitting)
    clouds = [("fits none", GREY, arena[none], macs[none])]
    # The board that most fit first, so that what fits a smaller one is drawn over it.
    for index in sorted(range(len(fitting)), key=lambda i: -figures.fits[i].fitting):
        colour = COLOURS[index % len(COLOURS)]
        clouds.append((f"fits {figures.fits[index].board}", colour, arena[fitting[index]], macs[fitting[index]]))
    return clouds


def _panels(figures: ScreenReport) -> tuple[tuple[str, str, float], ...]:
    return (*PANELS, IN_PLACE) if any(IN_PLACE[0] in fit.limits for fit in figures.fits) else PANELS


def _title(figures: ScreenReport) -> str:
    shares = ", ".join(f"{fit.share:.1%} fit {fit.board}" for fit in figures.fits)
    return f"{figures.space}: {figures.count - figures.impossible:,} random networks; {shares}"


def draw_figure(screened: Screened, figures: ScreenReport) -> Any:
    """The picture as a Plotly figure."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    panels = _panels(figures)
    columns = len(panels) + 1
    figure = make_subplots(rows=1, cols=columns, horizontal_spacing=0.04)
    for column, (name, label, unit) in enumerate(panels, start=1):
        counts, edges = histogram(screened, name, unit)
        figure.add_trace(
            go.Bar(x=(edges[:-1] + edges[1:]) / 2, y=counts, marker={"color": GREY}, showlegend=False),
            row=1,
            col=column,
        )
        for index, fit in enumerate(figures.fits):
            if name in fit.limits and fit.limits[name] / unit <= 1.5 * edges[-1]:
                line = {"color": COLOURS[index % len(COLOURS)], "dash": "dash"}
                figure.add_vline(x=fit.limits[name] / unit, line=line, row=1, col=column)
        figure.update_xaxes(title_text=label, row=1, col=column)
    for name, colour, arena, macs in points(screened, figures):
        marker = {"color": colour, "size": 4, "opacity": 0.5}
        figure.add_trace(go.Scattergl(x=arena, y=macs, mode="markers", name=name, marker=marker), row=1, col=columns)
    figure.update_xaxes(title_text="arena (KiB)", row=1, col=columns)
    figure.update_yaxes(title_text="candidates", row=1, col=1)
    figure.update_yaxes(title_text="MACs (millions)", row=1, col=columns)
    legend = {"orientation": "h", "y": 1.1}
    figure.update_layout(title=_title(figures), template="plotly_white", height=480, bargap=0, legend=legend)
    return figure


def draw_png(screened: Screened, figures: ScreenReport) -> bytes:
    """The same picture as PNG, drawn by Matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = _panels(figures)
    figure, axes = pyplot.subplots(1, len(panels) + 1, figsize=(3.6 * (len(panels) + 1), 4.2), layout="constrained")
    for axis, (name, label, unit) in zip(axes, panels, strict=False):
        counts, edges = histogram(screened, name, unit)
        axis.bar(edges[:-1], counts, np.diff(edges), align="edge", color=GREY)
        for index, fit in enumerate(figures.fits):
            if name in fit.limits and fit.limits[name] / unit <= 1.5 * edges[-1]:
                axis.axvline(fit.limits[name] / unit, color=COLOURS[index % len(COLOURS)], linestyle="--")
        axis.set_xlabel(label)
    axes[0].set_ylabel("candidates")
    for name, colour, arena, macs in points(screened, figures):
        axes[-1].scatter(arena, macs, s=5, alpha=0.5, color=colour, label=name, linewidths=0)
    axes[-1].set_xlabel("arena (KiB)")
    axes[-1].set_ylabel("MACs (millions)")
    axes[-1].legend(loc="upper right", markerscale=3)
    figure.suptitle(_title(figures))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return buffer.getvalue()
