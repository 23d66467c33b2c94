"""What a network costs, from its layers alone: parameters, MACs, peak memory, flash."""

from __future__ import annotations

from dse.cost.report import CostReport, estimate, estimate_graph

__all__ = ["CostReport", "estimate", "estimate_graph"]
