"""Fronts as plots: gathered once, drawn as an HTML page that works offline and as a PNG."""

from __future__ import annotations

import html
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dse._util.files import write_atomic
from dse.cost.metrics import COSTS, METRICS, Metric
from dse.references.points import ReferencePoint
from dse.search.record import TrialRecord, share_text
from dse.search.summary import front_records

PUBLISHED, REFERENCE_COLOUR = "published by others", "#2563eb"


@dataclass(frozen=True)
class FrontData:
    """What a plot of a run shows: rows for the front and for the other complete trials."""

    title: str
    front: list[dict[str, Any]]
    others: list[dict[str, Any]]
    references: list[ReferencePoint] = field(default_factory=list)  # published by others


def panels(data: FrontData) -> list[Metric]:
    """The costs against which accuracy is drawn: the usual ones, and others that trials have because they were asked
    for."""
    rows = [*data.front, *data.others]
    found = [m for m in METRICS if m.drawn == "always" or (m.drawn == "asked" and any(m.name in row for row in rows))]
    return sorted(found, key=lambda metric: metric.panel)


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
    return {
        "trial": record.number,
        "id": record.id,
        "accuracy": record.values["accuracy"],
        "accuracy_float": record.values.get("accuracy_float"),
        **{
            metric.name: int(value) if metric.unit.whole else value
            for metric in COSTS
            if (value := record.values.get(metric.name)) is not None
        },
        "blocks": " ".join(block.kind for block in record.candidate.blocks) if record.candidate else "",
        **({"share": record.share} if record.share < 1 else {}),
        **({"seeds": record.seeds} if len(record.seeds) > 1 else {}),
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
    costs = [f"{m.title} {m.unit.text(row[m.name])}" for m in COSTS if m.name in row and not m.part]
    cut = f" after {share_text(row['share'])}" if "share" in row else ""
    return (
        f"trial {row['trial']} · {row['id']}<br>accuracy {row['accuracy']:.2%}{cut}"
        f"<br>{', '.join(costs)}<br>{html.escape(row['blocks'])}"
    )


def _reference_hover(point: ReferencePoint) -> str:
    how = "int8" if point.int8 else "float"
    return f"{html.escape(point.label)}<br>accuracy {point.accuracy:.2%}, {how}<br>{html.escape(point.source)}"


def _xy(rows: list[dict[str, Any]], metric: Metric) -> tuple[list[dict[str, Any]], list[float], list[float]]:
    """The rows of which a cost is known, and where they stand."""
    known = [row for row in rows if metric.name in row]
    return known, [row[metric.name] / metric.scale for row in known], [100 * row["accuracy"] for row in known]


def _reference_xy(data: FrontData, metric: Metric) -> tuple[list[ReferencePoint], list[float], list[float]]:
    """The same of what was published."""
    known = [point for point in data.references if metric.name in point.costs]
    return known, [point.costs[metric.name] / metric.scale for point in known], [100 * p.accuracy for p in known]


def draw_figure(data: FrontData) -> Any:
    """The front as a Plotly figure: accuracy against every one of `panels`."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    drawn = panels(data)
    figure = make_subplots(rows=1, cols=len(drawn), shared_yaxes=True, horizontal_spacing=0.04)
    for column, metric in enumerate(drawn, start=1):
        for name, rows, colour, symbol in (
            ("other trials", data.others, "#9aa5b1", "circle-open"),
            ("front", data.front, "#c2410c", "circle"),
        ):
            shown, x, y = _xy(rows, metric)
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=column == 1,
                    marker={"color": colour, "size": 10, "symbol": symbol},
                    hovertext=[_hover(row) for row in shown],
                    hoverinfo="text",
                ),
                row=1,
                col=column,
            )
        if data.references:
            known, x, y = _reference_xy(data, metric)
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
        figure.update_xaxes(title_text=metric.axis, row=1, col=column, **axis)
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

    drawn = panels(data)
    width = 13 * max(1.0, len(drawn) / 3)
    figure, axes = pyplot.subplots(1, len(drawn), sharey=True, figsize=(width, 4.6), layout="constrained")
    for axis, metric in zip(axes, drawn, strict=True):
        for name, rows, colour, face in (
            ("other trials", data.others, "#9aa5b1", "none"),
            ("front", data.front, "#c2410c", "#c2410c"),
        ):
            _, x, y = _xy(rows, metric)
            axis.scatter(x, y, label=name, edgecolors=colour, facecolors=face, s=42, zorder=3)
        axis.set_xlabel(metric.axis)
        if data.references:
            _, x, y = _reference_xy(data, metric)
            axis.scatter(
                x, y, label=PUBLISHED, edgecolors=REFERENCE_COLOUR, facecolors="none", s=30, marker="D", zorder=2
            )
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter("")
        else:
            axis.set_xlim(0, 1.08 * max(_xy([*data.front, *data.others], metric)[1], default=1))
        axis.grid(color="#e5e7eb")
    axes[0].set_ylabel(_accuracy_label(data))
    axes[0].legend(loc="lower right")
    figure.suptitle(data.title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return buffer.getvalue()
