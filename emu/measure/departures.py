"""How punctually a link of a given rate sends, from when frames came in at its far end while more was offered. Pure.

A link that is kept busy has an ideal schedule: frame after frame, each taking its bits / rate. Handigol et al.
("Reproducible Network Experiments Using Container-Based Emulation", CoNEXT 2012) hold an emulation's links against it,
by the gaps between frames that leave a queue. Gaps alone say little of a token bucket: what a timer that fires late has
let wait leaves at once, up to the burst, so that one late frame makes many gaps of nothing, none of them wrong. So
frames are held against the schedule: a frame is late by how much later it came in than if the link had sent back to
back since some moment of the last ``WINDOW_S``, the largest over all these moments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import ceil

WINDOW_S, WINDOW_FRAMES = 0.05, 20
"""How far back a schedule may begin: so long, and the time of so many frames at the least. What was lost for good
counts no longer than that: it is the rate's to tell, which has a check of its own."""

SHARE = 0.95
"""The share of frames that lateness is stated of."""

Arrivals = Sequence[tuple[int, int]]
"""When frames came in, in ns, and their bytes; in order."""


def late_us(arrivals: Arrivals, rate_bps: float) -> list[float]:
    """How late each frame came in, in us, against the schedule of a link of ``rate_bps`` of frames."""
    lates: list[float] = []
    largest_ns = max((size for _, size in arrivals), default=0) * 8e9 / rate_bps
    window_ns = max(WINDOW_S * 1e9, WINDOW_FRAMES * largest_ns)
    sent_ns = 0.0  # how long an ideal link takes to send all up to here
    sent: list[tuple[int, float]] = []
    earliest: deque[tuple[int, float]] = deque()  # of those in the window, which is ahead of all after it
    before = -1  # the last frame before the window
    for t_ns, size in arrivals:
        sent_ns += size * 8e9 / rate_bps
        sent.append((t_ns, sent_ns))
        while earliest and earliest[-1][1] >= t_ns - sent_ns:
            earliest.pop()
        earliest.append((t_ns, t_ns - sent_ns))
        while earliest[0][0] < t_ns - window_ns:
            earliest.popleft()
        while sent[before + 1][0] < t_ns - window_ns:
            before += 1
        stalled_ns = window_ns - (sent_ns - sent[before][1]) if before >= 0 else 0.0
        lates.append(max(t_ns - sent_ns - earliest[0][1], stalled_ns) / 1000)
    return lates


def late_at_most_us(arrivals: Arrivals, rate_bps: float) -> float:
    """What ``SHARE`` of the frames were late by at the most, in us."""
    lates = sorted(late_us(arrivals, rate_bps))
    return lates[ceil(SHARE * len(lates)) - 1]
