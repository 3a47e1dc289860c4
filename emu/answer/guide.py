"""The decision guide: sentences that are true of this run's numbers, and name each of them. Pure.

A sentence says that one thing is more than another only where the interval of their ratio leaves out 1; where it does
not, it says that no difference is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from emu.answer.numbers import Number, Numbers
from emu.backends import DEFAULT as DEFAULT_BACKEND

_OUTSIDE = f"overlay:backend={DEFAULT_BACKEND},outside="
DEFAULT = f"{_OUTSIDE}none"
"""The overlay that all others are held against."""

_ROUTED = "routed:routes=static"
_PER_BYTE = "cpu_per_byte"


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

    def share(self, name: str, who: str, noun: str, whom: str, verb: str = "carries") -> None:
        """How one compares with another, by the ratio ``name``."""
        ratio = self.numbers.get(name)
        if ratio is None:
            return
        if ratio.differs:
            self.say(f"{who} {verb} ", "{it}", f" of {whom} {noun}.", it=name)
        else:
            self.say(f"Between the {noun} of {who} and {whom.removesuffix(chr(39) + 's')} no difference is shown: ",
                     "{it}", ".", it=name)


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
    for metric, noun in (("throughput", "TCP throughput"), ("rate", "request rate")):
        writer.share(f"inside/{metric}/hostgw/{DEFAULT}", "hostgw", noun, "the overlay's")
    writer.share(f"inside/{_PER_BYTE}/{DEFAULT}/hostgw", "The overlay", "CPU time per byte", "hostgw's", "takes")
    writer.say("So where all nodes are on one segment, plain routes (hostgw) do without an overlay: packets of ", "{p}",
               " bytes, and each node holds ", "{e}", " entries.", p="packet/hostgw", e="held/node/hostgw")
    for metric, noun in (("throughput", "TCP throughput"), ("rate", "request rate")):
        writer.share(f"inside/{metric}/{_ROUTED}/{DEFAULT}", "routed", noun, "the overlay's")
    writer.say("A routed network asks more of what is between nodes: ", "{r}", " flows of the switch for pods' routes, "
               "against ", "{o}", " under the overlay, where it knows nodes only.", r=f"flows/{_ROUTED}",
               o=f"flows/{DEFAULT}")
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
        for metric, noun in (("throughput", "TCP throughput"), ("rate", "request rate")):
            writer.share(f"inside/{metric}/{spec}/{DEFAULT}", name, noun, f"{default}'s")
        writer.say(f"{name} leaves ", "{p}", " bytes to a packet.", p=f"packet/{spec}")


def _state(writer: _Writer) -> None:
    writer.say("Entries that a node holds: bare ", "{b}", ", plain routes ", "{h}", ", the overlay ", "{o}", ".",
               b="held/node/bare",
               h="held/node/hostgw", o=f"held/node/{DEFAULT}")
    writer.say("A client on which the overlay runs adds as much to every node: ", "{c}", " entries instead of ", "{r}",
               " where the client has routes instead; and holds ", "{own}", " itself.",
               c=f"held/node/{_OUTSIDE}client/outside",
               r=f"held/node/{_OUTSIDE}route/outside", own=f"held/outside/{_OUTSIDE}client/outside")


def _outside(writer: _Writer) -> None:
    writer.say("With nothing done an outside machine has had ", "{n}", " answers to its ping: nobody on its segment "
               "speaks for a pod's address.", n=f"answered/there/{DEFAULT}/outside")
    ways = {"route": "Routes to nodes", "bridge": "A bridge machine",
            "bridge,snat=on": "A bridge machine that masquerades", "client": "The overlay on the client"}
    for way, words in ways.items():
        spec = _OUTSIDE + way
        writer.say(f"{words}: ", "{t}", " of bare's TCP throughput, ", "{r}", " of its request rate, ",
                   "routers on the way: ", "{h}", ", packets of ", "{p}", " bytes, entries on the client: ", "{e}", ".",
                   t=f"outside/throughput/{spec}/bare", r=f"outside/rate/{spec}/bare",
                   h=f"routers/there/{spec}/outside", p=f"packet/{spec}/outside", e=f"held/outside/{spec}/outside")
    for metric, noun in (("throughput", "TCP throughput"), ("rate", "request rate")):
        writer.share(f"outside/{metric}/{_OUTSIDE}route/{_OUTSIDE}bridge", "Routes to nodes", noun,
                     "a bridge machine's", "give")


def _failure(writer: _Writer) -> None:
    writer.say("The hotter of two carries ", "{h}", " of the flows.", h=f"hottest/{_OUTSIDE}bridge,bridges=2")
    plain, masquerading = f"{_OUTSIDE}bridge,bridges=2", f"{_OUTSIDE}bridge,bridges=2,snat=on"
    writer.say("With two of them, one falling silent in mid-transfer: the client routes by the other one after ", "{r}",
               " ms (BFD), and a UDP flow is without arrivals for ", "{u}", " ms.", r=f"routed_ms/udp/{plain}",
               u=f"longest_gap_ms/udp/{plain}")
    writer.say("Where pods see the client's own address, TCP connections went on: ", "{l}", ", were ended: ", "{e}",
               "; after ", "{g}", " ms their data arrived again.", l=f"lived/tcp/{plain}", e=f"ended/tcp/{plain}",
               g=f"longest_gap_ms/tcp/{plain}")
    writer.say("Where the bridge machine masquerades, connections went on: ", "{l}", ", were reset: ", "{e}",
               ": to the pod, another machine is speaking.", l=f"lived/tcp/{masquerading}",
               e=f"ended/tcp/{masquerading}")
