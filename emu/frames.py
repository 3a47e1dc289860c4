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
    ``has_ethernet``: whether it begins with an Ethernet header; it is an IPv4 packet otherwise.
    """

    at: str
    direction: str
    t_ns: int
    data: bytes
    has_ethernet: bool = True

    @property
    def machine(self) -> str:
        return self.at.partition(":")[0]

    @property
    def interface(self) -> str:
        return self.at.partition(":")[2]

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        """The frame's headers (``emu.packets.headers``)."""
        return headers(self.data, self.has_ethernet)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """All fields (``emu.packets.dissect``), and ``dir``."""
        return {**flat(self.headers, len(self.data)), "dir": self.direction}

    @cached_property
    def inner(self) -> dict[str, Any]:
        """The fields of the innermost frame, without ``inner.`` before their names; none where they are sealed."""
        if self.is_sealed:
            return {}
        inside = {key[6:]: value for key, value in self.fields.items() if key.startswith("inner.")}
        return inside or {key: value for key, value in self.fields.items() if key not in ("dir", "len")}

    @property
    def tunnel_end(self) -> str | None:
        """The address that another frame or packet travels to inside this one; ``None`` of one that carries nothing."""
        return self.fields["ip.dst"] if self.is_encapsulated else None

    @property
    def is_encapsulated(self) -> bool:
        """Whether another frame or packet travels inside this one."""
        return self.is_sealed or any(header.depth for header in self.headers)

    @cached_property
    def is_sealed(self) -> bool:
        """Whether a packet travels inside this one that nobody but its two ends can read."""
        return any(header.protocol == "wg" for header in self.headers)
