"""What the packet inspector says of a frame, as data for the page's template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from emu.guide.fields import ADDRESSES, PROTOCOLS, SHORT, meaning, ownership, place, text, value_text
from emu.guide.realms import GLYPHS, NOBODY, Realms
from emu.guide.ways import microseconds
from emu.model import INITIAL_TTL, SWITCH
from emu.packets import ARP_REPLY, TUNNELS, Field, Header
from emu.walk.model import Change, Step, Walk

STRIP_WIDTH = 340
"""Of the time strip, in its own units."""
MARGIN = 6
DUMP_COLUMNS = 8
"""Bytes in a line of the hex dump."""
SHOWN_BYTES = 12
SHOWN_CHARACTERS = 26
"""Of a payload in its row."""


@dataclass(frozen=True)
class FieldRow:
    """A row of the inspector. ``start`` and ``size`` say where its bytes (``hex``) are in the frame.

    ``realm``, ``glyph`` and ``note`` (whose it is, or what it stands for) may be empty; ``was`` is the former value,
    ``None`` if it did not change.
    """

    key: str
    value: str
    realm: str
    glyph: str
    note: str
    was: str | None
    is_key: bool
    is_minor: bool
    help: str
    hex: str
    start: int
    size: int
    segment: int


@dataclass(frozen=True)
class Section:
    """A header (with what belongs to it: the VXLAN header to its UDP header, the payload to its transport)."""

    title: str
    size: str
    rows: tuple[FieldRow, ...]


@dataclass(frozen=True)
class Box:
    """An envelope: the headers of one packet. ``is_added``: it was put around ``inner`` since the step before."""

    realm: str
    is_added: bool
    sections: tuple[Section, ...]
    inner: Box | None


@dataclass(frozen=True)
class Segment:
    """A part of the byte strip, ``size`` bytes wide; ``depth`` 1 inside a tunnel."""

    number: int
    label: str
    size: int
    realm: str
    depth: int


@dataclass(frozen=True)
class Tick:
    """A step on the time strip, at ``x`` of ``STRIP_WIDTH``; ``when``: earlier, now or later."""

    x: float
    when: str


@dataclass(frozen=True)
class Inspection:
    """All that the inspector shows of one step."""

    step: Step
    total: int
    length: int
    verb: str
    place: str
    interface: str
    ticks: tuple[Tick, ...]
    at: str
    took: str
    duration: str
    segments: tuple[Segment, ...]
    box: Box
    is_unwrapped: bool
    minor_count: int
    dump: str


def inspect(walk: Walk, step: Step, key_field: str = "") -> Inspection:
    """The inspection of one step of a walk. ``key_field`` names the field to be marked, as ``emu.packets`` does."""
    reader = _Reader(walk, step, key_field)
    box = reader.box(0)
    frame = step.frame
    return Inspection(
        step=step,
        total=len(walk.steps),
        length=len(frame.data),
        verb="leaves" if frame.direction == "out" else "comes in at",
        place="the switch" if frame.machine == SWITCH else frame.machine,
        interface=frame.interface,
        ticks=_ticks(walk, step),
        at=microseconds(step.t_us),
        took="" if step.took_us is None else microseconds(step.took_us),
        duration=microseconds(_length_us(walk)),
        segments=reader.segments(),
        box=box,
        is_unwrapped=any(change.field == "encap" and change.now is None for change in step.changed),
        minor_count=sum(row.is_minor for row in rows_of(box)),
        dump=hex_dump(frame.data),
    )


def rows_of(box: Box) -> Iterator[FieldRow]:
    """All rows of an envelope and of those in it, in the order of the page."""
    for section in box.sections:
        yield from section.rows
    if box.inner:
        yield from rows_of(box.inner)


def hex_dump(data: bytes) -> str:
    """Offsets, bytes and ASCII, ``DUMP_COLUMNS`` bytes a line. Byte n is at column ``6 + 3 * (n % DUMP_COLUMNS)``."""
    lines = (data[start : start + DUMP_COLUMNS] for start in range(0, len(data), DUMP_COLUMNS))
    return "\n".join(
        f"{number * DUMP_COLUMNS:04x}  {line.hex(' '):{DUMP_COLUMNS * 3}} {_printable(line)}"
        for number, line in enumerate(lines)
    )


def _printable(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)


def _length_us(walk: Walk) -> float:
    return max(step.t_us for step in walk.steps)


def _ticks(walk: Walk, current: Step) -> tuple[Tick, ...]:
    scale = (STRIP_WIDTH - 2 * MARGIN) / (_length_us(walk) or 1)
    return tuple(Tick(round(MARGIN + step.t_us * scale, 1), _when(step.index - current.index)) for step in walk.steps)


def _when(distance: int) -> str:
    return "now" if distance == 0 else "earlier" if distance < 0 else "later"


def payload_text(data: bytes) -> str:
    """The first line of a payload, if it is text; else empty."""
    line = data.split(b"\r\n", 1)[0].split(b"\n", 1)[0]
    return line.decode("ascii") if line and all(32 <= byte < 127 for byte in line) else ""


class _Reader:
    """Reads one frame with what is known of the step."""

    def __init__(self, walk: Walk, step: Step, key_field: str) -> None:
        self.frame = step.frame
        self.headers = step.frame.headers
        self.realms = Realms(walk.plan)
        self.key_field = key_field
        self.innermost = max((header.depth for header in self.headers), default=0)
        self.changes = {change.field: change for change in step.changed}
        self.op = self.frame.inner.get("arp.op")

    def box(self, depth: int) -> Box:
        """The envelope at ``depth``, with that inside it."""
        encap = self.changes.get("encap")
        return Box(
            realm=self.envelope_realm(depth),
            is_added=depth < self.innermost and encap is not None and encap.was is None,
            sections=tuple(self.section(group) for group in self.groups(depth)),
            inner=self.box(depth + 1) if depth < self.innermost else None,
        )

    def envelope_realm(self, depth: int) -> str:
        """That of the source in the outermost header. Inside a tunnel the addresses of Ethernet are those of overlay
        devices, which say nothing of whose the packet is: there it is the first header inside."""
        names = ("inner.ip.src", "inner.arp.sha", "inner.eth.src") if depth else ("eth.src",)
        owner = next((self.realms.of(self.frame.fields[name]) for name in names if name in self.frame.fields), None)
        return owner[0] if owner else NOBODY

    def groups(self, depth: int) -> list[list[Header]]:
        """The headers at ``depth``, those together that share a section."""
        found: list[list[Header]] = []
        for header in self.headers:
            if header.depth != depth:
                continue
            if found and header.protocol in (*TUNNELS, "payload"):
                found[-1].append(header)
            else:
                found.append([header])
        return found

    def section(self, group: Sequence[Header]) -> Section:
        names = [PROTOCOLS[header.protocol] for header in group if header.protocol != "payload"]
        data = sum(header.size for header in group if header.protocol == "payload")
        own = sum(header.size for header in group) - data
        size = " + ".join(f"{part} B" for part in (own, data) if part)
        rows = tuple(row for header in group for row in self.rows(header))
        return Section(" + ".join(names) or "Payload", size, rows)

    def rows(self, header: Header) -> list[FieldRow]:
        if header.protocol == "payload":
            return [self.payload(header)]
        fields = [field for field in header.fields if field.size]
        fields.sort(key=lambda field: place(field.name.removeprefix("inner."), self.op == ARP_REPLY))
        return [self.row(header, field) for field in fields]

    def row(self, header: Header, field: Field) -> FieldRow:
        name = field.name.removeprefix("inner.")
        words = text(name, self.op == ARP_REPLY)
        realm, owner = self.realms.of(field.value) if name in ADDRESSES else (NOBODY, "")
        change = self.changes.get(name) if header.depth == self.innermost else None
        is_key = field.name == self.key_field
        return FieldRow(
            key=words.key,
            value=value_text(name, field.value),
            realm=realm,
            glyph=GLYPHS[realm],
            note=self.note(name, field, owner),
            was=self.was(name, change) if change else None,
            is_key=is_key,
            is_minor=words.minor and not is_key and change is None,
            help=" ".join(part for part in (words.help, ownership(realm, owner)) if part),
            hex=self.bytes_of(field.start, field.size),
            start=field.start,
            size=field.size,
            segment=self.segment_of(header),
        )

    def note(self, name: str, field: Field, owner: str) -> str:
        if name == "ip.ttl" and field.value == INITIAL_TTL:
            return "fresh"
        return owner or meaning(name, field.value)

    def was(self, name: str, change: Change) -> str:
        """The former value: of an address its owner, where there is one, because that is shorter and says more."""
        if change.was is None:
            return "none"
        owner = self.realms.of(change.was)[1] if name in ADDRESSES else ""
        return owner or value_text(name, change.was)

    def payload(self, header: Header) -> FieldRow:
        data = self.data_of(header)
        line = payload_text(data)
        after_arp = self.op is not None and not any(data)
        words = text("payload")
        return FieldRow(
            key="padding" if after_arp else words.key,
            value=shortened(line, SHOWN_CHARACTERS) if line else f"{header.size} bytes",
            realm=NOBODY,
            glyph="",
            note="",
            was=None,
            is_key=self.key_field in {"payload", *(field.name for field in header.fields)},
            is_minor=after_arp,
            help="Zeros that fill the frame up to Ethernet's least size (IEEE 802.3)." if after_arp else words.help,
            hex=self.bytes_of(header.start, header.size),
            start=header.start,
            size=header.size,
            segment=self.segment_of(header),
        )

    def bytes_of(self, start: int, size: int) -> str:
        shown = self.frame.data[start : start + min(size, SHOWN_BYTES)].hex(" ")
        return f"{shown} …" if size > SHOWN_BYTES else shown

    def segment_of(self, header: Header) -> int:
        """The number of the segment that holds a header: UDP and a tunnel's header in it are one."""
        number = self.headers.index(header)
        return number - 1 if header.protocol in TUNNELS else number

    def segments(self) -> tuple[Segment, ...]:
        """The byte strip."""
        parts = groupby(self.headers, key=self.segment_of)
        return tuple(self.segment(number, list(group)) for number, group in parts)

    def segment(self, number: int, group: Sequence[Header]) -> Segment:
        last = group[-1]
        label = SHORT.get(last.protocol, PROTOCOLS[last.protocol])
        if last.protocol == "payload":
            row = self.payload(last)
            label = row.value if payload_text(self.data_of(last)) else row.key
        return Segment(number, label, sum(header.size for header in group), self.source_realm(group[0]), last.depth)

    def source_realm(self, header: Header) -> str:
        """Of who made a header: that of its own source, or of the source of the packet it belongs to."""
        if header.protocol == "payload":
            return NOBODY
        name = {"eth": "eth.src", "arp": "arp.sha"}.get(header.protocol, "ip.src")
        return self.realms.of(self.frame.fields["inner." * header.depth + name])[0]

    def data_of(self, header: Header) -> bytes:
        return self.frame.data[header.start : header.start + header.size]


def shortened(line: str, limit: int) -> str:
    """``line`` with no more than ``limit`` characters."""
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
