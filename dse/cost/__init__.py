"""What a network costs, from its layers alone: parameters, MACs, peak memory, flash, per board."""

from __future__ import annotations

from dse.cost.boards import Board, list_boards, load_board, load_boards
from dse.cost.budget import Budget, Budgets
from dse.cost.estimate import CostReport, estimate, estimate_graph

__all__ = [
    "Board",
    "Budget",
    "Budgets",
    "CostReport",
    "estimate",
    "estimate_graph",
    "list_boards",
    "load_board",
    "load_boards",
]
