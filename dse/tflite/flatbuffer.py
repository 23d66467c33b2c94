"""A reader of FlatBuffers that nothing in a file can lead out of the file, or keep busy for long.

The generated readers of the `flatbuffers` package trust what they read: an offset may point anywhere and a vector may
say that it has four thousand million elements. Here every offset is checked against the buffer, and a file may have
only so many elements read from it. Layout: https://flatbuffers.dev/internals; all numbers are little-endian.
"""

from __future__ import annotations

import struct

MAX_ELEMENTS = 200_000  # read from one file, all vectors together: far above what fits a microcontroller


class MalformedError(ValueError):
    """The bytes are no such buffer."""


class Buffer:
    """The bytes of one file."""

    __slots__ = ("content", "elements_left")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.elements_left = MAX_ELEMENTS

    def number(self, form: str, position: int) -> int:
        """One number of a `struct` format. Raises MalformedError beyond the ends."""
        size = struct.calcsize(f"<{form}")
        if position < 0 or position + size > len(self.content):
            raise MalformedError(f"an offset points to byte {position:,} of {len(self.content):,}")
        (value,) = struct.unpack_from(f"<{form}", self.content, position)
        return int(value)

    def root(self) -> Table:
        """The root table."""
        return Table(self, self.number("I", 0))


class Table:
    """One table; fields are named by their slot: 0 is the first field of the schema."""

    __slots__ = ("_buffer", "_position", "_vtable", "_vtable_size")

    def __init__(self, buffer: Buffer, position: int) -> None:
        self._buffer, self._position = buffer, position
        self._vtable = position - buffer.number("i", position)
        self._vtable_size = buffer.number("H", self._vtable)

    def number(self, slot: int, form: str, default: int = 0) -> int:
        """A number, or its default where the file leaves it out."""
        place = self._place(slot)
        return default if place is None else self._buffer.number(form, place)

    def table(self, slot: int) -> Table | None:
        """A table, or None."""
        place = self._place(slot)
        return None if place is None else Table(self._buffer, self._target(place))

    def tables(self, slot: int) -> list[Table]:
        """A vector of tables; empty where it is left out."""
        start, count = self._vector(slot, 4)
        return [Table(self._buffer, self._target(start + 4 * index)) for index in range(count)]

    def numbers(self, slot: int, form: str) -> tuple[int, ...]:
        """A vector of numbers; empty where it is left out."""
        start, count = self._vector(slot, struct.calcsize(f"<{form}"))
        return struct.unpack_from(f"<{count}{form}", self._buffer.content, start) if count else ()

    def length(self, slot: int, element_bytes: int = 1) -> int:
        """How many elements a vector has, without reading them; it lies within the file."""
        return self._vector(slot, element_bytes, read=False)[1]

    def data(self, slot: int) -> bytes:
        """A vector of bytes; empty where it is left out."""
        start, count = self._vector(slot, 1, read=False)
        return self._buffer.content[start : start + count]

    def text(self, slot: int) -> str:
        """A string; bytes that are no UTF-8 are shown as a question mark."""
        return self.data(slot).decode(errors="replace")

    def _place(self, slot: int) -> int | None:
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return None
        offset = self._buffer.number("H", self._vtable + entry)
        return self._position + offset if offset else None

    def _target(self, place: int) -> int:
        return place + self._buffer.number("I", place)

    def _vector(self, slot: int, element_bytes: int, read: bool = True) -> tuple[int, int]:
        place = self._place(slot)
        if place is None:
            return 0, 0
        start = self._target(place)
        count = self._buffer.number("I", start)
        if start + 4 + count * element_bytes > len(self._buffer.content):
            raise MalformedError(
                f"a vector of {count:,} elements does not fit into the {len(self._buffer.content):,} bytes"
            )
        if read:
            self._buffer.elements_left -= count
            if self._buffer.elements_left < 0:
                raise MalformedError(f"more than {MAX_ELEMENTS:,} elements")
        return start + 4, count
