"""A picture of an arena: which tensors lie where and when, TFLM's plan beside the offline plan."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dse._util.files import write_atomic
from dse._util.units import bytes_text
from dse.cost.tflm.plans import Placed, Plan
from dse.errors import DseError

AT_PEAK, QUIET, SCRATCH = "#c2410c", "#94a3b8", "#7e22ce"
SUFFIXES = (".html", ".png")


def check_plot(path: Path) -> None:
    """Raises DseError where no picture can be written."""
    if path.suffix.lower() not in SUFFIXES or path.is_dir():
        raise DseError(f"{path}: expected a file that ends with {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise DseError(f"{path}: there is no folder {path.parent}")


def write_arena_plot(path: Path, plans: Sequence[Plan], title: str) -> None:
    """Draws plans into an HTML page that works offline, or a PNG. Raises DseError for another suffix."""
    check_plot(path)
    write_atomic(path, _page(plans, title) if path.suffix.lower() == ".html" else _picture(plans, title))


def draw_figure(plans: Sequence[Plan], title: str) -> Any:
    """The picture as a Plotly figure: a bar for every tensor, as wide as its life and as high as its bytes."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    titles = [heading(plan) for plan in plans]
    figure = make_subplots(rows=1, cols=len(plans), subplot_titles=titles, shared_yaxes=True)
    for column, plan in enumerate(plans, start=1):
        middles = [(one.first + one.last) / 2 for one in plan.placed]
        bars = go.Bar(
            x=middles,
            y=[one.num_bytes / 1024 for one in plan.placed],
            base=[one.offset / 1024 for one in plan.placed],
            width=[one.last - one.first + 0.94 for one in plan.placed],
            marker={"color": [colour(one, plan) for one in plan.placed], "line": {"color": "white", "width": 1}},
            hovertext=[_hover(one) for one in plan.placed],
            hoverinfo="text",
            showlegend=False,
        )
        figure.add_trace(bars, row=1, col=column)
        figure.add_hline(y=plan.peak_bytes / 1024, line={"color": AT_PEAK, "dash": "dot"}, row=1, col=column)
        figure.update_xaxes(title_text="operator", row=1, col=column)
    figure.update_yaxes(title_text="arena (KiB)", row=1, col=1)
    figure.update_layout(title=_escaped(title), template="plotly_white", height=520, barmode="overlay")
    return figure


def heading(plan: Plan) -> str:
    """What stands above a plan."""
    more = plan.head_bytes - plan.peak_bytes
    gap = f", {bytes_text(more)} above the least" if more else ", the least there is"
    return f"{plan.title} plan: {bytes_text(plan.head_bytes)}{gap}"


def colour(one: Placed, plan: Plan) -> str:
    """Whether a tensor is alive where most is, or is what a kernel asks for."""
    if one.first <= plan.peak_step <= one.last:
        return AT_PEAK
    return SCRATCH if one.name == "scratch" else QUIET


def _hover(one: Placed) -> str:
    alive = f"operator {one.first} to {one.last}" if one.last > one.first else f"operator {one.last}"
    end = one.offset + one.num_bytes
    return f"{_escaped(one.name)}<br>{bytes_text(one.num_bytes)}, {one.offset:,} to {end:,}<br>{alive}"


def _escaped(text: str) -> str:
    import html

    return html.escape("".join(letter if letter.isprintable() else "?" for letter in text))


def _page(plans: Sequence[Plan], title: str) -> str:
    return str(draw_figure(plans, title).to_html(include_plotlyjs=True, full_html=True))


def _picture(plans: Sequence[Plan], title: str) -> bytes:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(7 * len(plans), 5), layout="constrained")
    figure.suptitle(title, parse_math=False)
    highest = max(plan.head_bytes for plan in plans) / 1024
    shown = figure.subplots(1, len(plans), squeeze=False, sharey=True)[0]
    for axis, plan in zip(shown, plans, strict=True):
        for one in plan.placed:
            place = (one.first - 0.47, one.offset / 1024)
            size = (one.last - one.first + 0.94, one.num_bytes / 1024)
            axis.add_patch(Rectangle(place, *size, facecolor=colour(one, plan), edgecolor="white", linewidth=0.5))
        axis.axhline(plan.peak_bytes / 1024, color=AT_PEAK, linestyle=":")
        axis.set(xlim=(-1.5, plan.num_steps - 0.5), ylim=(0, 1.02 * highest), xlabel="operator", title=heading(plan))
    shown[0].set_ylabel("arena (KiB)")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
