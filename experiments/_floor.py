"""The least a controller can do: the framework reads a packet-in, and the same bytes answer each of them."""

from typing import Any

from controllers.encoding import message
from controllers.framework import MAIN, OPENFLOW_13, App, ofp_event, set_ev_cls
from controllers.pipeline import Send

ANSWER = message(Send(1, bytes(60)), 0, 0)


class Floor(App):
    """What no controller on this framework can be faster than."""

    OFP_VERSIONS = [OPENFLOW_13]

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN)
    def packet_in(self, event: Any) -> None:
        event.msg.datapath.send(ANSWER)
