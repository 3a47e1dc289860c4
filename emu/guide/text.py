"""A walk as text for a terminal: the story in a line a packet, then the packets that bring news, step by step."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TextIO

from emu.guide.realms import ALL, NODE, OUTSIDE, POD, UNKNOWN, Realms
from emu.guide.ways import (
    carries_data,
    complaints,
    ending,
    groups,
    has_failed,
    microseconds,
    parties,
    printable,
    repeats,
    size,
)
from emu.look import tokens
from emu.packets import ARP_REQUEST, TUNNELS, Header
from emu.walk.model import ANSWERED, DELIVERED, DROPPED, LOST, Change, Packet, Step, Walk
from emu.walk.words import flags

_SIGN = {NODE: "\ue000", POD: "\ue001", OUTSIDE: "\ue002\ue003", ALL: "\ue004"}
"""Stand for the realms' signs until lines are broken: as wide as these, and in no other text (``printable``)."""
_ANSI = {NODE: "34", POD: "33", OUTSIDE: "1", ALL: "1"}
_BOLD, _FAIL, _CHANGED = "1", "1;35", "7"

_MEANINGS = {NODE: "node", POD: "container", OUTSIDE: "outside machine", ALL: "everybody"}
_NAMES = {"eth": "Eth", "ip": "IP", "arp": "ARP", "icmp": "ICMP", "tcp": "TCP", "udp": "UDP", "vxlan": "VXLAN",
          "geneve": "GENEVE", "gre": "GRE", "wg": "WireGuard", "tinc": "tinc"}
_ICMP_FIELDS = ("type", "code", "id", "seq", "mtu")
_FATES = {ANSWERED: "answered", DELIVERED: "delivered", DROPPED: "dropped", LOST: "LOST"}
_ALWAYS = ("eth", "ip", "arp")
"""Headers that are shown wherever headers are."""
_MOST_NAMES = 8
"""How many members of a group of silent ones are named."""
_DEEPER = 21
"""Where a line of details goes on."""


def style(stream: TextIO, environ: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether ``stream`` should get colour, and whether it takes Unicode.

    Colour: a terminal that is not dumb, and no ``NO_COLOR`` (no-color.org: set and not empty). Unicode: the locale
    says so (the first that is set of LC_ALL, LC_CTYPE and LANG, locale(7)), and the stream encodes in it.
    """
    color = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    encodings = (locale.partition(".")[2].partition("@")[0], stream.encoding or "")
    return color, all(encoding.lower().replace("-", "") == "utf8" for encoding in encodings)


def render(walk: Walk, width: int = 80, color: bool = False, unicode: bool = True) -> str:
    """The walk, no line longer than ``width`` columns (40 at least); without ``unicode`` it is plain ASCII."""
    page = _Page(max(width, 40), unicode)
    _Teller(walk, page).tell()
    return page.text(color)


class _Page:
    """Lines that fit: what is too long goes on below, indented."""

    def __init__(self, width: int, unicode: bool) -> None:
        self.width, self.unicode = width, unicode
        self._lines: list[tuple[str, str]] = []

    def add(self, text: str = "", indent: int = 0, style: str = "") -> None:
        """A line, with an indent for what of it does not fit, and an ANSI style for all of it."""
        hanging = " " * min(indent, self.width // 2)
        folded = textwrap.wrap(
            text, self.width, subsequent_indent=hanging, break_on_hyphens=False, drop_whitespace=True
        )
        self._lines += [(line, style) for line in folded or [""]]

    def text(self, color: bool) -> str:
        """All lines with their realm signs, each line ended."""
        lines = (_painted(line.rstrip(), style) if color else _signed(line.rstrip()) for line, style in self._lines)
        whole = "".join(f"{line}\n" for line in lines)
        return whole if self.unicode else whole.encode("ascii", "replace").decode()


def _signed(line: str) -> str:
    for realm, sign in _SIGN.items():
        line = line.replace(sign, tokens()["realm"][realm]["ascii"])
    return line


def _painted(line: str, style: str) -> str:
    """The line with its signs and colours: each address in its realm's, all else in ``style``."""
    back = f"\x1b[0m\x1b[{style}m" if style else "\x1b[0m"
    for realm, sign in _SIGN.items():
        line = re.sub(rf"({sign}[^\s,)]*)", f"\x1b[{_ANSI[realm]}m\\1{back}", line)
    line = re.sub(r"(?<!\S)([~+-])(?= )", f"\x1b[{_CHANGED}m\\1{back}", line)
    return _signed(f"\x1b[{style}m{line}\x1b[0m" if style else line)


class _Teller:
    def __init__(self, walk: Walk, page: _Page) -> None:
        self.walk, self.page = walk, page
        self.realms = Realms(walk.plan)
        self.repeats = repeats(walk)
        self.point_width = min(30, max((len(_point(step)) for step in walk.steps), default=0))
        self.t_width = max((len(_digits(step.t_us)) for step in walk.steps), default=0)
        self.title_width = min(40, max((len(packet.title) for packet in walk.packets), default=0))
        self.bar = "│" if page.unicode else "|"

    def tell(self) -> None:
        self._opening()
        for packet in self.walk.packets:
            if packet.number not in self.repeats:
                self._packet(packet, with_headers=True)
            elif carries_data(self.walk, packet):
                self._packet(packet, with_headers=False)
        self._summary()

    def _opening(self) -> None:
        walk, add = self.walk, self.page.add
        add(f"{walk.request} from {self._machine(walk.src)} to {self._machine(walk.dst)}, {walk.plan.spec}", 2, _BOLD)
        add("   ".join(f"{_SIGN[realm]} {meaning}" for realm, meaning in _MEANINGS.items()), 2)
        add(f"times in {'µs' if self.page.unicode else 'us'}: since the walk began, and since the step before", 2)
        add()
        for packet in walk.packets:
            add(self._line(packet), 6)

    def _line(self, packet: Packet) -> str:
        """The whole packet in one line of the story."""
        steps = self.walk.steps_of(packet)
        took = self._us(steps[-1].t_us - steps[0].t_us) if len(steps) > 1 else ""
        title, way = printable(packet.title), self._way(packet)
        as_before = f"  as {self.repeats[packet.number]}" if packet.number in self.repeats else ""
        failed = (step for step in steps if has_failed(self.walk.plan, step))
        bad = next((f"  {_FATES[step.fate]} at {_point(step)}" for step in failed), "")
        return f"{packet.number:>3}  {way:<20} {title:<{self.title_width}} {took:>7}{as_before}{bad}"

    def _packet(self, packet: Packet, with_headers: bool) -> None:
        steps = self.walk.steps_of(packet)
        journey = f"{len(steps)} steps, {self._us(steps[-1].t_us - steps[0].t_us)}" if len(steps) > 1 else "1 step"
        title = f"{packet.number}  {self._way(packet)}  {printable(packet.title)}"
        facts = f"{len(steps[0].frame.data)} B, {journey}"
        gap = self.page.width - len(title) - len(facts)
        self.page.add()
        self.page.add(f"{title}{' ' * max(gap, 2)}{facts}", 3, _BOLD)
        if not with_headers:
            self.page.add(f"   headers and decisions as in {self.repeats[packet.number]}")
        told: set[str] = set()
        for group in groups(steps):
            step = group[0]
            self._meanwhile(step)
            if len(group) == 1:
                self._step(step)
            else:
                self._silent_ones(group)
            if with_headers:
                self._headers(packet, step)
                self._decision("" if step.decided_by in told else step.decided_by)
                told.add(step.decided_by)

    def _meanwhile(self, step: Step) -> None:
        """Which packets began while this one waited before ``step``, nothing else of it being on its way."""
        if step.previous is None or any(step.previous < i < step.index for i in self.walk.packet(step.packet).steps):
            return
        began = [p.number for p in self.walk.packets if step.previous < p.steps[0] < step.index]
        if began:
            waited_for = f"packet{'s' if len(began) > 1 else ''} {', '.join(map(str, began))}"
            self.page.add(f"{'':>{self.t_width + 13}}meanwhile {waited_for}", _DEEPER)

    def _step(self, step: Step) -> None:
        note, fate = printable(step.note), _FATES.get(step.fate, "")
        if has_failed(self.walk.plan, step):
            self._row(step, _point(step), ": ".join(filter(None, (fate, note))), _FAIL)
        elif step.fate == DROPPED:
            self._row(step, _point(step), note or fate)
        else:
            self._row(step, _point(step), "; ".join(filter(None, (note, fate))))

    def _silent_ones(self, group: Sequence[Step]) -> None:
        """Members of a group are named, as far as there is room."""
        first = group[0]
        names = [_point(step) for step in group]
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        said = ending(group) if first.fate == DROPPED else printable(first.note)
        last = f"the last at {_digits(group[-1].t_us)}"
        self._row(first, f"{len(group)} interfaces", "; ".join(filter(None, (said, last))))
        self.page.add(f"{'':>{_DEEPER}}{', '.join(names[:_MOST_NAMES])}{more}", _DEEPER)

    def _row(self, step: Step, where: str, said: str, style: str = "") -> None:
        took = "" if step.took_us is None else f"+{_digits(step.took_us)}"
        times = f"{_digits(step.t_us):>{self.t_width}} {took:>7}"
        left = f"  {times}  {where:<{self.point_width}} {step.frame.direction:<5}"
        self.page.add(left + said, len(left), style)

    def _decision(self, decided_by: str) -> None:
        """The table entries that decided, one below the other."""
        label = "by"
        for entry in filter(None, printable(decided_by).split("; ")):
            self.page.add(f"{'':>12}{label:<7}{entry}", _DEEPER)
            label = ""

    def _headers(self, packet: Packet, step: Step) -> None:
        """The frame where it was made or changed; of an unchanged transport header only what it carries."""
        if step.previous is not None and not step.changed:
            return
        encap = next((change for change in step.changed if change.field == "encap"), None)
        innermost = max((header.depth for header in step.frame.headers), default=0)
        if encap and encap.now is None:
            self.page.add(f"{'':>10}- {encap.was}", _DEEPER)
        for header in step.frame.headers:
            is_outer = header.depth < innermost
            was = [] if is_outer else [c for c in step.changed if c.field.startswith(f"{header.protocol}.")]
            if is_outer or was or header.protocol in _ALWAYS or (step.previous is None and header.protocol in _NAMES):
                sign = "+" if encap and is_outer else " "
                self._header(f"{'':>10}{sign} {f'{self.bar} ' * header.depth}", header, was)
        if carries_data(self.walk, packet) or (step.previous is not None and "arp" not in packet.kind):
            self.page.add(f"{'':>12}{f'{self.bar} ' * innermost}{printable(packet.title)}", _DEEPER)

    def _header(self, left: str, header: Header, was: Sequence[Change]) -> None:
        """One header in a line, and what its fields were before behind it, or below where there is no room."""
        fields = {field.name.removeprefix("inner." * header.depth): field.value for field in header.fields}
        line = f"{left}{_NAMES[header.protocol]:<6} {self._fields(header.protocol, fields)}"
        before = ", ".join(f"{c.field.partition('.')[2]} was {self._value(c.was)}" for c in reversed(was))
        if before and len(line) + len(before) + 4 > self.page.width:
            self.page.add(line, _DEEPER)
            line = f"{'':>19}"
        self.page.add(f"{line}  ~ {before}" if before else line, _DEEPER)

    def _fields(self, protocol: str, fields: Mapping[str, object]) -> str:
        value = {name.partition(".")[2]: self._value(found) for name, found in fields.items()}
        if protocol == "arp":
            if fields["arp.op"] == ARP_REQUEST:
                return f"who has {value['tpa']}? tell {value['spa']}"
            return f"{value['spa']} is at {fields['arp.sha']} ({value['sha']})"
        if protocol == "icmp":
            return " ".join(f"{name} {value[name]}" for name in _ICMP_FIELDS if name in value)
        if protocol in TUNNELS:
            return "  ".join(f"{name} {found}" for name, found in value.items())
        if protocol in ("tcp", "udp"):
            named = f"  {flags(int(str(fields['tcp.flags'])))}" if protocol == "tcp" else ""
            return f"port {value['sport']} > {value['dport']}{named}"
        ttl = f"  ttl {value['ttl']}" if protocol == "ip" else ""
        return f"{value['src']} > {value['dst']}{ttl}"

    def _value(self, value: object) -> str:
        """A field's value; a MAC by its owner's name, all addresses with their realm's sign."""
        if not isinstance(value, str):
            return str(value)
        realm, owner = self.realms.of(value)
        return f"{_SIGN.get(realm, '')}{owner if owner and ':' in value else value}"

    def _machine(self, name: str) -> str:
        machine = self.walk.plan.by_name.get(name)
        realm, _ = self.realms.of_ip(machine.address) if machine else UNKNOWN
        return f"{_SIGN.get(realm, '')}{name}"

    def _way(self, packet: Packet) -> str:
        src, dst = parties(packet)
        return f"{self._machine(src)} > {_SIGN[ALL] if dst == 'everybody' else self._machine(dst)}"

    def _us(self, value: float) -> str:
        return microseconds(value, self.page.unicode)

    def _summary(self) -> None:
        add = self.page.add
        add()
        add(size(self.walk, self.page.unicode), 0, _BOLD)
        for complaint in complaints(self.walk):
            add(complaint, 2, _FAIL)
        if not self.walk.differences:
            add("as declared")


def _point(step: Step) -> str:
    return f"{step.frame.machine} {step.frame.interface}"


def _digits(microseconds: float) -> str:
    """In a column of times."""
    return f"{microseconds:.1f}"
