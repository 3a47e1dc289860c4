"""Frames as they pass any number of interfaces of a lab at once, on one clock.

Packet sockets (packet(7)) instead of tcpdump: no process an interface, and no privileges dropped (which fails
without root, where only user 0 is mapped).

What a time stamp means (net/core/dev.c; net_timestamp_set, net_timestamp_check, skb_clear_delivery_time):

- ``out``: taken anew at every device, when the frame is handed to it (dev_queue_xmit_nit).
- ``in``: taken when the frame is put on the receiving CPU's queue, before a protocol sees it, unless it has a stamp. A
  bridge hands a frame of its port up, and VXLAN one that came out of its tunnel, with the stamp it has: ``in`` at
  cbr0 is the moment of ``in`` at the veth, and ``in`` at flannel.1 that of ``in`` at eth0, to the nanosecond. Their
  order in a capture says nothing then. A veth pair between two namespaces takes the stamp off.
- ``in``, TCP: its sender leaves the time the packet was to be sent at in the place of the stamp, and there it stays
  until a stack takes the packet in (at a tunnel's end, too) or a switch in user space copies the frame. Up to there
  the stamp is taken where a socket here receives the frame, after the CPU's queue: at cbr0 later than at the veth.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from emu.errors import LabError, MissingError, UsageError
from emu.frames import Frame
from emu.live.linux import network_namespace
from emu.live.process import wait_until

NO_PERMISSION = (
    "capturing needs CAP_NET_RAW, which this process was started without; mend: start it with all of root's"
    " capabilities (sudo; in a container: --cap-add NET_RAW)"
)

_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_ETH_P_ALL = 3
_OUTGOING = 4
_SIOCGIFHWADDR = 0x8927
_ARPHRD_ETHER, _ARPHRD_LOOPBACK = 1, 772  # include/uapi/linux/if_arp.h
_BUFFER_BYTES = 1 << 25
_LONGEST_FRAME_BYTES = 1 << 17  # an IPv4 packet that is still to be segmented, and its Ethernet header
_ANCILLARY_BYTES = 64
_TURN = 64
"""How many frames are read from one socket before the others have their turn."""
_STAMP = struct.Struct("qq")

Raw = tuple[int, bool, int, bytes]
"""A frame as the kernel gave it: number of its capture point, whether it went out, time stamp, bytes."""


def in_order(raw: Raw) -> tuple[int, int]:
    """What to sort frames by: time stamps, and capture points where those are equal."""
    return raw[2], raw[0]


@dataclass(frozen=True)
class _Tap:
    number: int
    point: str
    socket: socket.socket


class Taps:
    """Packet sockets at capture points (``machine:interface``), bound when the constructor returns."""

    def __init__(self, spaces: Mapping[str, int], points: Sequence[str]) -> None:
        """``spaces``: a descriptor of each machine's network namespace.

        Raises ``UsageError`` with every point that is none, ``MissingError`` where capturing is not allowed.
        """
        self.points = tuple(dict.fromkeys(points))
        self.bare: set[int] = set()
        """Numbers of points where no Ethernet header is seen."""
        self.gone: set[str] = set()
        """Points whose interface went away or down."""
        self._poll = select.epoll()
        self._taps: dict[int, _Tap] = {}
        self._buffer = bytearray(_LONGEST_FRAME_BYTES)
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            with _stamping():
                problems = [problem for number in range(len(self.points)) if (problem := self._add(number, spaces))]
            if problems:
                raise UsageError(*problems)
            undo.pop_all()

    def _add(self, number: int, spaces: Mapping[str, int]) -> str:
        """Open the socket of a capture point; what is wrong with the point, or an empty string."""
        point = self.points[number]
        if problem := misspelt(point):
            return problem
        machine, _, interface = point.partition(":")
        if machine not in spaces:
            return f"{point}: the lab has no machine '{machine}'"
        tap = _open(spaces[machine], interface)
        if tap.type != socket.SOCK_RAW:
            self.bare.add(number)
        self._taps[tap.fileno()] = _Tap(number, point, tap)
        try:
            tap.bind((interface, _ETH_P_ALL))
        except OSError as error:  # a name that is too long, or unknown
            if error.errno not in (errno.ENODEV, None):
                raise
            return f"{point}: {machine} has no interface '{interface}'"
        if tap.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ENETDOWN:
            return f"{point}: this interface is down"
        self._poll.register(tap, select.EPOLLIN)
        return ""

    def watch(self, descriptor: int, events: int = select.EPOLLIN) -> None:
        """Have ``turns`` end when this descriptor has something to say."""
        self._poll.register(descriptor, events)

    def turns(self) -> Iterator[list[Raw]]:
        """Frames as they come, those that wait together, until a watched descriptor has something to say."""
        is_over = False
        while not is_over:
            frames: list[Raw] = []
            for descriptor, _ in self._poll.poll():
                if descriptor in self._taps:
                    self._read(self._taps[descriptor], frames)
                else:
                    is_over = True
            yield frames

    def rest(self) -> list[Raw]:
        """The frames that are still waiting."""
        frames: list[Raw] = []
        for tap in self._taps.values():
            before = -1
            while len(frames) > before:
                before = len(frames)
                self._read(tap, frames)
        return frames

    def _read(self, tap: _Tap, frames: list[Raw]) -> None:
        """Append some of the frames that wait at a capture point."""
        receive, buffer, number = tap.socket.recvmsg_into, self._buffer, tap.number
        for _ in range(_TURN):
            try:
                size, ancillary, _, address = receive([buffer], _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:  # told once, before the frames that still wait
                self.gone.add(tap.point)
                continue
            seconds, nanoseconds = _STAMP.unpack(ancillary[0][2])
            t_ns = seconds * 1_000_000_000 + nanoseconds
            frames.append((number, address[2] == _OUTGOING, t_ns, bytes(buffer[:size])))

    def interfaces(self) -> list[tuple[str, bool]]:
        """Every capture point, and whether Ethernet headers are seen there."""
        return [(point, number not in self.bare) for number, point in enumerate(self.points)]

    def complain(self) -> None:
        """``LabError`` if an interface went away or down, or the kernel had to drop a frame, since the last time."""
        problems = [f"{point} went away during the capture" for point in sorted(self.gone)]
        for tap in self._taps.values():
            _, drops = struct.unpack("II", tap.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
            if drops:
                problems.append(f"{tap.point}: the capture lost {drops} frames")
        if problems:
            raise LabError(*problems)

    def close(self) -> None:
        """Let go of all sockets."""
        for tap in self._taps.values():
            tap.socket.close()
        self._poll.close()


def misspelt(point: str) -> str:
    """Why this cannot be a capture point in any lab, or an empty string."""
    machine, _, interface = point.partition(":")
    if machine and interface:
        return ""
    return f"'{point}' is no capture point; they are written NAME:INTERFACE, as in node-a:eth0"


class Capture:
    """Frames at a set of capture points, from the constructor's return to ``stop``."""

    def __init__(self, spaces: Mapping[str, int], points: Sequence[str], pause_s: float = 0) -> None:
        """As ``Taps``, which raises the same. ``pause_s``: how long frames are left with the kernel before the next are
        read. Reading each as it comes takes the CPU from those who pass it on, which shows in what it took them."""
        self._taps = Taps(spaces, points)
        self._frames: list[Raw] = []  # made readable at the end: taking a frame apart takes longer than receiving it
        self._wake, self._waker = socket.socketpair()
        self._taps.watch(self._wake.fileno())
        self._pause_s = pause_s
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        for frames in self._taps.turns():
            self._frames += frames
            if self._pause_s:
                select.select([self._wake], [], [], self._pause_s)

    def is_settled(self, peers: Mapping[str, str]) -> bool:
        """Whether every frame that left a link's end by now has come in at the other. ``peers``: the ends of links."""
        number = {point: number for number, point in enumerate(self._taps.points)}
        seen = Counter((frame[0], frame[1]) for frame in self._frames)
        links = ((number[point], number[peer]) for point, peer in peers.items() if {point, peer} <= number.keys())
        return all(seen[near, True] == seen[far, False] for near, far in links)

    def stop(self) -> list[Frame]:
        """End the capture; all its frames, in the order of their time stamps (of equal ones: of their points).

        ``LabError`` if an interface went away meanwhile, or the kernel had to drop a frame.
        """
        with contextlib.closing(self._taps), self._wake, self._waker:
            self._waker.send(b"x")
            self._thread.join()
            self._frames += self._taps.rest()
            self._taps.complain()
        points = self._taps.points
        self._frames.sort(key=in_order)
        return [Frame(points[number], "out" if out else "in", t_ns, data, number not in self._taps.bare)
                for number, out, t_ns, data in self._frames]


def _open(space: int, interface: str) -> socket.socket:
    """A packet socket for an interface of a network namespace. It receives nothing before it is bound, as its protocol
    is 0. Where frames have no Ethernet header it gives what is inside whatever header they have (packet(7))."""
    with network_namespace(space):
        try:
            kind = socket.SOCK_RAW if _is_ethernet(interface) else socket.SOCK_DGRAM
            tap = socket.socket(socket.AF_PACKET, kind, 0)
        except PermissionError:
            raise MissingError(NO_PERMISSION) from None
    try:
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except PermissionError:  # only the machine's own root may pass net.core.rmem_max
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    tap.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    tap.setblocking(False)
    return tap


def _is_ethernet(interface: str) -> bool:
    """Whether an interface here is one of Ethernet or loopback, or none at all (netdevice(7), SIOCGIFHWADDR)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFHWADDR, struct.pack("16s24x", interface.encode()[:15]))
        except OSError:
            return True
    return struct.unpack_from("H", answer, 16)[0] in (_ARPHRD_ETHER, _ARPHRD_LOOPBACK)


@contextlib.contextmanager
def _stamping() -> Iterator[None]:
    """The kernel stamps frames as they come; sockets opened within keep it so.

    The first socket of a machine that asks for stamps has them switched on some milliseconds later, by a work queue
    (net_enable_timestamp in net/core/dev.c); until then a frame gets its stamp when it is read.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        probe.bind(("127.0.0.1", 0))
        wait_until("the kernel to stamp frames as they come", lambda: _is_stamped_on_arrival(probe))
        yield


def _is_stamped_on_arrival(probe: socket.socket) -> bool:
    probe.sendto(b"", probe.getsockname())  # it has arrived when this returns
    sent_ns = time.time_ns()
    _, ancillary, _, _ = probe.recvmsg(1, _ANCILLARY_BYTES)
    seconds, nanoseconds = _STAMP.unpack(ancillary[0][2])
    return bool(seconds * 1_000_000_000 + nanoseconds <= sent_ns)
