"""What must be true where routes are learned, besides what is true of every gateway."""

from __future__ import annotations

from emu.claims import Claim, Learned, Prints
from emu.model import Plan
from emu.speakers import speaker_of
from emu.speakers.bird import SPEAKER

_BGP = "RFC 4271"


def bgp_claims(plan: Plan) -> tuple[Claim, ...]:
    """Sessions of all nodes, and what the daemon beside the gateway has written to its kernel's table."""
    first = plan.nodes[0]
    announced = plan.control.gateway.announced if plan.control.gateway else ()
    speaker = speaker_of(plan.params)
    return (
        Claim(
            "bgp-sessions",
            f"the gateway has a session with each of the {len(plan.nodes)} nodes",
            f"{_BGP}, section 8.2.2",
            Prints(first.name, SPEAKER.gateway_sessions(), 0,
                   tuple(text for node in plan.nodes for text in (SPEAKER.session_name(node), "Established"))),
        ),
        Claim(
            "bgp-node-session",
            f"so says {first.name}'s daemon, too",
            f"{_BGP}, section 8.2.2",
            Prints(first.name, speaker.sessions(first), 0, ("Establ",)),
            ("bgp-sessions",),
        ),
        Claim(
            "bgp-routes",
            "the gateway has learned every pod subnet, by its node, and nothing else; its flow table says the same",
            f"{_BGP}, section 9.1",
            Learned({route.prefix: (route.via,) for route in announced}),
            ("bgp-sessions",),
        ),
    )
