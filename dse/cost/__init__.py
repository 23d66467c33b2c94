"""What a network costs, from its layers alone: parameters, MACs, peak memory, flash, per board."""

from __future__ import annotations

from dse.cost.boards import Board, list_boards, load_board
from dse.cost.estimate import Budget, CostReport, estimate

__all__ = ["Board", "Budget", "CostReport", "estimate", "list_boards", "load_board"]
