"""A frame as it passed one interface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from emu.packets import Header, flat, headers


@dataclass(frozen=True)
class Frame:
    """A frame at a capture point (``machine:interface``), going ``in`` or ``out`` there.

    ``t_ns``: the kernel's time stamp, nanoseconds since the epoch, on one clock for all capture points of a machine.
    """

    at: str
    direction: str
    t_ns: int
    data: bytes

    @property
    def machine(self) -> str:
        return self.at.partition(":")[0]

    @property
    def interface(self) -> str:
        return self.at.partition(":")[2]

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        """The frame's headers (``emu.packets.headers``)."""
        return headers(self.data)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """All fields (``emu.packets.dissect``), and ``dir``."""
        return {**flat(self.headers, len(self.data)), "dir": self.direction}

    @cached_property
    def inner(self) -> dict[str, Any]:
        """The fields of the innermost frame, without ``inner.`` before their names."""
        inside = {key[6:]: value for key, value in self.fields.items() if key.startswith("inner.")}
        return inside or {key: value for key, value in self.fields.items() if key not in ("dir", "len")}

    @property
    def tunnel_end(self) -> str | None:
        """The address that another frame or packet travels to inside this one; ``None`` of one that carries nothing."""
        return self.fields["ip.dst"] if self.is_encapsulated else None

    @property
    def is_encapsulated(self) -> bool:
        """Whether another frame or packet travels inside this one."""
        return any(header.depth for header in self.headers)
