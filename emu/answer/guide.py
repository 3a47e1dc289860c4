"""The decision guide: sentences that are true of this run's numbers, and name each of them. Pure.

A sentence says that one thing is more than another only where the interval of their ratio leaves out 1; where it does
not, it says that no difference is shown, or that there are too few blocks to tell. What a sentence concludes it
concludes only where the numbers bear it out; counts are held against each other only of clusters of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from emu.answer.numbers import COSTS, Number, Numbers
from emu.backends import DEFAULT as DEFAULT_BACKEND
from emu.measure.metrics import PER_BYTE

_OUTSIDE = f"overlay:backend={DEFAULT_BACKEND},outside="
DEFAULT = f"{_OUTSIDE}none"
"""The overlay that all others are held against."""

_ROUTED = "routed:routes=static"
_SPEEDS = tuple((metric, noun) for _, metric, noun in COSTS if metric != PER_BYTE)


@dataclass(frozen=True)
class Sentence:
    """Text in pieces: words, and numbers of the run."""

    pieces: tuple[str | Number, ...]

    @property
    def text(self) -> str:
        return "".join(piece if isinstance(piece, str) else piece.text for piece in self.pieces)

    @property
    def numbers(self) -> tuple[Number, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Number))


@dataclass(frozen=True)
class Advice:
    """A question that one who chooses has, and what this run says to it."""

    question: str
    sentences: tuple[Sentence, ...]

    def entry(self) -> dict[str, object]:
        """As ``answer.json`` has it."""
        return {"question": self.question,
                "sentences": [{"text": s.text, "numbers": [n.id for n in s.numbers]} for s in self.sentences]}


@dataclass
class _Writer:
    """Writes sentences for which all numbers are there; leaves the others out."""

    numbers: Numbers
    written: list[Sentence] = field(default_factory=list)

    def say(self, *pieces: str, **named: str) -> None:
        """One sentence: words, and names of numbers in braces, whose ids are in ``named``."""
        parts: list[str | Number] = []
        for piece in pieces:
            if not (piece.startswith("{") and piece.endswith("}")):
                parts.append(piece)
                continue
            found = self.numbers.get(named[piece[1:-1]])
            if found is None:
                return
            parts.append(found)
        self.written.append(Sentence(tuple(parts)))

    def value(self, name: str) -> float | None:
        """A number's value; ``None`` where nothing such was measured."""
        found = self.numbers.get(name)
        return found.value if found else None

    def more(self, name: str, other: str) -> bool:
        """Whether one count is larger than another of a cluster of the same size."""
        one, two = self.numbers.get(name), self.numbers.get(other)
        return one is not None and two is not None and one.nodes == two.nodes and one.value > two.value

    def answered(self, spec: str) -> bool:
        """Whether pods reached each other, both ways."""
        return all(self.value(f"answered/{way}/{spec}") == 1 for way in ("there", "back"))

    def share(self, name: str, who: str, noun: str, whom: str, verb: str = "carries") -> None:
        """How one compares with another, by the ratio ``name``. ``who``: as in mid-sentence."""
        ratio = self.numbers.get(name)
        if ratio is None:
            return
        if ratio.differs:
            self.say(f"{_beginning(who)} {verb} ", "{it}", f" of {whom} {noun}.", it=name)
            return
        both = f"{who} and {whom.removesuffix(chr(39) + 's')}"
        if ratio.low is None:
            self.say(f"There are too few blocks to tell whether {both} differ in {noun}: ", "{it}", ".", it=name)
        else:
            self.say(f"Between the {noun} of {both} no difference is shown: ", "{it}", ".", it=name)


def _beginning(words: str) -> str:
    """Words at the beginning of a sentence; a name stays as one types it."""
    return words[0].upper() + words[1:] if " " in words else words


def guide(numbers: Numbers, backends: Sequence[str]) -> list[Advice]:
    """All advice that the numbers of a run give. ``backends``: of the overlays that were measured, the default one
    first."""
    topics: tuple[tuple[str, Callable[[_Writer], None]], ...] = (
        ("Can the network between your nodes carry packets for pods?", _plain),
        ("What does an overlay take from each packet?", _packets),
        ("Which back end?", lambda writer: _backends(writer, backends)),
        ("What must each node hold?", _state),
        ("Must machines outside the cluster reach pods?", _outside),
        ("May a bridge machine fail?", _failure),
    )
    return list(_advice(numbers, topics))


def _advice(numbers: Numbers, topics: Sequence[tuple[str, Callable[[_Writer], None]]]) -> Iterator[Advice]:
    for question, write in topics:
        writer = _Writer(numbers)
        write(writer)
        if writer.written:
            yield Advice(question, tuple(writer.written))


def _plain(writer: _Writer) -> None:
    compared = [f"inside/{metric}/hostgw/{DEFAULT}" for metric, _ in _SPEEDS]
    for name, (_, noun) in zip(compared, _SPEEDS, strict=True):
        writer.share(name, "hostgw", noun, "the overlay's")
    cpu = f"inside/{PER_BYTE}/{DEFAULT}/hostgw"
    writer.share(cpu, "the overlay", "CPU time per byte", "hostgw's", "takes")
    if writer.answered("hostgw"):
        ratios = [ratio for name in (*compared, cpu) if (ratio := writer.numbers.get(name)) and ratio.differs]
        better = ratios and all(ratio.value > 1 for ratio in ratios)
        begin = "So where all nodes are on one segment, plain routes (hostgw) do without an overlay: " if better else \
            "Plain routes (hostgw) are for nodes that are all on one segment: "
        writer.say(begin, "packets of ", "{p}", " bytes, and each node holds ", "{e}", " entries.", p="packet/hostgw",
                   e="held/node/hostgw")
    for metric, noun in _SPEEDS:
        writer.share(f"inside/{metric}/{_ROUTED}/{DEFAULT}", "routed", noun, "the overlay's")
    if writer.more(f"flows/{_ROUTED}", f"flows/{DEFAULT}"):
        writer.say("A routed network asks more of what is between nodes: ", "{r}", " flows in the switch's table, "
                   "against ", "{o}", " under the overlay.", r=f"flows/{_ROUTED}", o=f"flows/{DEFAULT}")
    if writer.answered(DEFAULT):
        writer.say("Where you can change nothing between your nodes, an overlay is what is left: it reaches pods with ",
                   "{t}", " of bare's TCP throughput and ", "{r}", " of its request rate.",
                   t=f"inside/throughput/{DEFAULT}/bare", r=f"inside/rate/{DEFAULT}/bare")


def _packets(writer: _Writer) -> None:
    writer.say("The largest packet between pods is ", "{o}", " bytes under the overlay, ", "{h}", " bytes with plain "
               "routes.", o=f"packet/{DEFAULT}", h="packet/hostgw")


def _backends(writer: _Writer, backends: Sequence[str]) -> None:
    default = backends[0] if backends else ""
    for name in backends[1:]:
        spec = f"overlay:backend={name},outside=none"
        for metric, noun in _SPEEDS:
            writer.share(f"inside/{metric}/{spec}/{DEFAULT}", name, noun, f"{default}'s")
        writer.say(f"{name} leaves ", "{p}", " bytes to a packet.", p=f"packet/{spec}")


def _state(writer: _Writer) -> None:
    named = {"b": "held/node/bare", "h": "held/node/hostgw", "o": f"held/node/{DEFAULT}"}
    found = [number for name in named.values() if (number := writer.numbers.get(name))]
    if len({number.nodes for number in found}) == 1:
        writer.say(f"Entries that each of {found[0].nodes} nodes holds: bare ", "{b}", ", plain routes ", "{h}",
                   ", the overlay ", "{o}", ".", **named)
    client, route = f"held/node/{_OUTSIDE}client/outside", f"held/node/{_OUTSIDE}route/outside"
    if writer.more(client, route):
        writer.say("A client on which the overlay runs adds to what every node holds: ", "{c}", " entries instead of ",
                   "{r}", " where the client has routes; and it holds ", "{own}", " itself.", c=client, r=route,
                   own=f"held/outside/{_OUTSIDE}client/outside")


def _outside(writer: _Writer) -> None:
    pinged = f"answered/there/{DEFAULT}/outside"
    came = writer.value(f"routers/there/{DEFAULT}/outside") is not None
    why = ": nobody on its segment speaks for a pod's address." if writer.value(pinged) == 0 and not came else "."
    noun = "answer" if writer.value(pinged) == 1 else "answers"
    writer.say("With nothing done an outside machine has had ", "{n}", f" {noun} to its ping{why}", n=pinged)
    ways = {"route": "Routes to nodes", "bridge": "A bridge machine",
            "bridge,snat=on": "A bridge machine that masquerades", "client": "The overlay on the client"}
    for way, words in ways.items():
        spec = _OUTSIDE + way
        writer.say(f"{words}: ", "{t}", " of bare's TCP throughput, ", "{r}", " of its request rate, ",
                   "routers on the way: ", "{h}", ", packets of ", "{p}", " bytes, entries on the client: ", "{e}", ".",
                   t=f"outside/throughput/{spec}/bare", r=f"outside/rate/{spec}/bare",
                   h=f"routers/there/{spec}/outside", p=f"packet/{spec}/outside", e=f"held/outside/{spec}/outside")
    for metric, noun in _SPEEDS:
        writer.share(f"outside/{metric}/{_OUTSIDE}route/{_OUTSIDE}bridge", "routes to nodes", noun,
                     "a bridge machine's", "give")


def _failure(writer: _Writer) -> None:
    plain, masquerading = f"{_OUTSIDE}bridge,bridges=2", f"{_OUTSIDE}bridge,bridges=2,snat=on"
    hottest = f"hottest/{plain}"
    who = "The hotter" if (writer.value(hottest) or 0) > 0.5 else "Each"
    writer.say(f"{who} of two carries ", "{h}", " of the flows.", h=hottest)
    writer.say("With two of them, one falling silent in mid-transfer: the client routes by the other one after ", "{r}",
               " ms (BFD), and a UDP flow is without arrivals for ", "{u}", " ms: the former is counted from the "
               "command that silences the machine to the look at the client's routes that finds them changed, the "
               "latter from arrival to arrival.", r=f"routed_ms/udp/{plain}", u=f"longest_gap_ms/udp/{plain}")
    if _say_fate(writer, "Where pods see the client's own address, TCP", plain, ""):
        writer.say("Their data arrived again after ", "{g}", " ms.", g=f"longest_gap_ms/tcp/{plain}")
    lived, were_reset = (writer.value(f"{what}/tcp/{masquerading}") for what in ("lived", "reset"))
    all_reset = lived == 0 and were_reset == writer.value(f"ended/tcp/{masquerading}")
    _say_fate(writer, "Where the bridge machine masquerades,", masquerading,
              ": to the pod, another machine is speaking" if all_reset else "")


def _say_fate(writer: _Writer, where: str, spec: str, why: str) -> bool:
    """What became of TCP connections; whether any went on."""
    names = {"l": f"lived/tcp/{spec}", "e": f"ended/tcp/{spec}", "r": f"reset/tcp/{spec}"}
    lived, ended, were_reset = map(writer.value, names.values())
    if ended == were_reset:
        writer.say(f"{where} connections went on: ", "{l}", ", were reset: ", "{r}", f"{why}.", **names)
    else:
        writer.say(f"{where} connections went on: ", "{l}", ", were ended: ", "{e}", ", of these by a reset: ", "{r}",
                   ".", **names)
    return bool(lived)
