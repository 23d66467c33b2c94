"""Fronts as plots: gathered once, drawn as an HTML page that works offline and as a PNG."""

from __future__ import annotations

import html
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dse._util.files import write_atomic
from dse._util.units import bytes_text, count_text
from dse.references.points import ReferencePoint
from dse.search.record import TrialRecord
from dse.search.summary import front_records

PANELS = (
    ("arena_bytes", "arena (KiB)", 1024.0),
    ("macs", "MACs (millions)", 1e6),
    ("params", "parameters (thousands)", 1e3),
)
PUBLISHED, REFERENCE_COLOUR = "published by others", "#2563eb"


@dataclass(frozen=True)
class FrontData:
    """What a plot of a run shows: rows for the front and for the other complete trials."""

    title: str
    front: list[dict[str, Any]]
    others: list[dict[str, Any]]
    references: list[ReferencePoint] = field(default_factory=list)  # published by others


def front_data(
    records: list[TrialRecord], objectives: list[str], title: str, references: list[ReferencePoint] | None = None
) -> FrontData:
    """The rows of a plot, tested without a picture."""
    front = front_records(records, objectives)
    numbers = {record.number for record in front}
    others = [r for r in records if r.outcome == "complete" and r.number not in numbers]
    return FrontData(title, [row(record) for record in front], [row(record) for record in others], references or [])


def row(record: TrialRecord) -> dict[str, Any]:
    """One trial as a row of the front's table and JSON."""
    whole = ("params", "macs", "arena_bytes", "arena_head_bytes", "flash_bytes")
    return {
        "trial": record.number,
        "id": record.id,
        "accuracy": record.values["accuracy"],
        "accuracy_float": record.values.get("accuracy_float"),
        **{name: int(record.values[name]) for name in (*whole, "inplace_bytes") if name in record.values},
        "blocks": " ".join(block.kind for block in record.candidate.blocks) if record.candidate else "",
        "explorer": record.explorer,
        "seconds": record.seconds,
    }


def write_plots(data: FrontData, folder: Path) -> list[Path]:
    """Writes front.html and front.png; returns their paths."""
    page, picture = folder / "front.html", folder / "front.png"
    write_atomic(page, draw_html(data))
    write_atomic(picture, draw_png(data))
    return [page, picture]


def _hover(row: dict[str, Any]) -> str:
    return (
        f"trial {row['trial']} · {row['id']}<br>accuracy {row['accuracy']:.2%}"
        f"<br>{count_text(row['params'])} parameters, {count_text(row['macs'])} MACs"
        f"<br>arena {bytes_text(row['arena_bytes'])}, flash {bytes_text(row['flash_bytes'])}"
        f"<br>{html.escape(row['blocks'])}"
    )


def _reference_hover(point: ReferencePoint) -> str:
    how = "int8" if point.int8 else "float"
    return f"{html.escape(point.label)}<br>accuracy {point.accuracy:.2%}, {how}<br>{html.escape(point.source)}"


def _reference_xy(data: FrontData, key: str, unit: float) -> tuple[list[ReferencePoint], list[float], list[float]]:
    """The points of which this cost is known, and where they stand."""
    known = [point for point in data.references if getattr(point, key) is not None]
    return known, [getattr(point, key) / unit for point in known], [100 * point.accuracy for point in known]


def draw_figure(data: FrontData) -> Any:
    """The front as a Plotly figure: accuracy against arena, MACs and parameters."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=len(PANELS), shared_yaxes=True, horizontal_spacing=0.04)
    for column, (key, label, unit) in enumerate(PANELS, start=1):
        for name, rows, colour, symbol in (
            ("other trials", data.others, "#9aa5b1", "circle-open"),
            ("front", data.front, "#c2410c", "circle"),
        ):
            figure.add_trace(
                go.Scatter(
                    x=[row[key] / unit for row in rows],
                    y=[100 * row["accuracy"] for row in rows],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=column == 1,
                    marker={"color": colour, "size": 10, "symbol": symbol},
                    hovertext=[_hover(row) for row in rows],
                    hoverinfo="text",
                ),
                row=1,
                col=column,
            )
        if data.references:
            known, x, y = _reference_xy(data, key, unit)
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    mode="markers",
                    name=PUBLISHED,
                    legendgroup=PUBLISHED,
                    showlegend=column == 1,
                    marker={"color": REFERENCE_COLOUR, "size": 8, "symbol": "diamond-open"},
                    hovertext=[_reference_hover(point) for point in known],
                    hoverinfo="text",
                ),
                row=1,
                col=column,
            )
        # Published networks are up to a thousand times as large as one that fits a board.
        axis = {"type": "log"} if data.references else {"rangemode": "tozero"}
        figure.update_xaxes(title_text=label, row=1, col=column, **axis)
    figure.update_yaxes(title_text=_accuracy_label(data), row=1, col=1)
    figure.update_layout(title=data.title, template="plotly_white", height=520, legend={"orientation": "h", "y": 1.08})
    return figure


def _accuracy_label(data: FrontData) -> str:
    return "accuracy (%): ours validation, published test" if data.references else "validation accuracy (%)"


def draw_html(data: FrontData) -> str:
    """The figure as one page with plotly.js inside: nothing is fetched."""
    return str(draw_figure(data).to_html(include_plotlyjs=True, full_html=True))


def draw_png(data: FrontData) -> bytes:
    """The same picture as PNG. Plotly's own export needs a browser, so this one is drawn by Matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(PANELS), sharey=True, figsize=(13, 4.6), layout="constrained")
    for axis, (key, label, unit) in zip(axes, PANELS, strict=True):
        for name, rows, colour, face in (
            ("other trials", data.others, "#9aa5b1", "none"),
            ("front", data.front, "#c2410c", "#c2410c"),
        ):
            x, y = [row[key] / unit for row in rows], [100 * row["accuracy"] for row in rows]
            axis.scatter(x, y, label=name, edgecolors=colour, facecolors=face, s=42, zorder=3)
        axis.set_xlabel(label)
        if data.references:
            _, x, y = _reference_xy(data, key, unit)
            axis.scatter(
                x, y, label=PUBLISHED, edgecolors=REFERENCE_COLOUR, facecolors="none", s=30, marker="D", zorder=2
            )
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter("")
        else:
            axis.set_xlim(0, 1.08 * max((row[key] / unit for row in [*data.front, *data.others]), default=1))
        axis.grid(color="#e5e7eb")
    axes[0].set_ylabel(_accuracy_label(data))
    axes[0].legend(loc="lower right")
    figure.suptitle(data.title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return buffer.getvalue()
