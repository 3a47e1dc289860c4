"""The controller applications of kubenet-emu: OpenFlow 1.3 on Open vSwitch, under Ryu or os-ken from the same source.

Decisions (`learning`, `answering`, `routing`) and frames (`wire`) are pure and know no framework; tables and flows
are data (`pipeline`); `framework` alone knows which framework runs; `switches` keeps the connections; the
applications (`l2_switch`, `proxy_arp`, `l3_gateway`) are what ties them together. This package imports nothing of
`emu`.
"""
