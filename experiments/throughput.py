#!/usr/bin/env -S python3 -B
"""How much does one TCP stream carry through each design?

    sender                          switch                        receiver
    iperf3 -> [ 1460 bytes ] ->  one look-up a packet  -> [ 1460 bytes ] -> counted here
              [ 1410 bytes + 50 of VXLAN ]                                  (overlay)

One flow, cubic, offloads off unless --offload on is given: with offloads the links carry "packets" of 64 kB, every
cost per packet shrinks by 40, and a tunnel looks nearly free. The packet size that was seen is printed beside the
throughput for that reason; a segment sent again is printed too, since drops would make this a test of buffers.

    sudo experiments/throughput.py
    sudo experiments/throughput.py bare overlay --offload on
"""

import _environment

from emu.measure.words import number, ratio_text


def main() -> int:
    """Measure one stream through every design and print what came out."""
    folder, summary = _environment.measure(__doc__, ["tcp_stream"])
    print(f"{'design':<36}{'Gbit/s':>8}{'packet':>9}{'sent again':>12}   ratio to bare (below 1: less gets through)")
    for spec in summary.specs:
        throughput, again, packet = (summary.cell(spec, "tcp_stream", metric)
                                     for metric in ("throughput", "retransmits", "packet_size"))
        if throughput is None:
            print(f"{spec:<36}  no value: every trial failed")
            continue
        print(f"{spec:<36}{number(throughput.median.value / 1e9):>8}"
              f"{f'{packet.median.value:.0f} B' if packet else '':>9}"
              f"{f'{again.median.value:.3%}' if again else '':>12}"
              f"   {ratio_text(throughput.ratio) if throughput.ratio else ''}")
    print(f"{'trusted' if summary.verdict.trusted else 'NOT TRUSTED'}; plots: {folder}/plots")
    return 0


if __name__ == "__main__":
    _environment.run(main)
