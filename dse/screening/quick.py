"""The costs of one assignment after another, in parts of a millisecond where most of its blocks were met before."""

from __future__ import annotations

from collections.abc import Sequence

from dse.cost.tflm.build import MICROCONTROLLER, Build
from dse.errors import NetworkError
from dse.network.blocks import Block
from dse.network.head import Head
from dse.screening.screening import MAX_REMEMBERED, Part, sections_of
from dse.screening.sections import Section, SectionCost, roughly, together
from dse.space.conditions import Assignment, every_open
from dse.space.space import Defaults, Space
from dse.space.template import Body


class QuickCosts:
    """Costs the assignments of a space; what was built once is remembered."""

    def __init__(self, space: Space, defaults: Defaults, library: Build = MICROCONTROLLER) -> None:
        self._space, self._defaults, self._library = space, defaults, library
        self._paths = {
            name: [
                [node.path for node in every_open(nodes)]
                for nodes in (*(stage.nodes for stage in body.stages), body.head.nodes)
            ]
            for name, body in space.template.bodies.items()
        }
        self._forget()

    def _forget(self) -> None:
        self._parts: dict[Block | Head, Part] = {}
        self._built: dict[tuple[object, ...], list[Part] | None] = {}

    def of(self, assignment: Assignment) -> SectionCost | None:
        """What a network of these values costs, as `estimate` has it; None where they do not go together."""
        sections = self._sections(assignment)
        return together(sections, self._library) if sections else None

    def roughly(self, assignment: Assignment) -> SectionCost | None:
        """Nearly the same, sooner."""
        sections = self._sections(assignment)
        return roughly(sections, self._library) if sections else None

    def _sections(self, assignment: Assignment) -> list[Section] | None:
        if len(self._built) + len(self._parts) > MAX_REMEMBERED:
            self._forget()
        template = self._space.template
        shape = template.image(assignment, self._defaults.input_shape)
        backbone = str(template.backbone.of(assignment))
        body = template.bodies[backbone]
        width = float(body.width.of(assignment))
        parts: list[Part] = []
        for index, paths in enumerate(self._paths[backbone]):
            key = (backbone, index, width, *map(assignment.get, paths))
            if key not in self._built:
                self._built[key] = self._build(body, index, width, assignment)
            if (built := self._built[key]) is None:
                return None
            parts += built
        return sections_of(parts, shape, self._defaults.classes)

    def _build(self, body: Body, index: int, width: float, values: Assignment) -> list[Part] | None:
        blocks: Sequence[Block | Head]
        try:
            if index == len(body.stages):
                blocks = [body.build_head(values, width)]
            else:
                blocks = body.stages[index].build(values, width, body.divisor)
        except NetworkError:
            return None
        return [self._parts.setdefault(block, Part(block)) for block in blocks]
