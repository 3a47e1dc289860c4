"""Lateness against a link's ideal schedule: links that are punctual, stand still, or are slower than asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from emu.measure.departures import WINDOW_S, late_at_most_us, late_us

FRAME_BYTES, RATE_BPS = 1500, 12e6
FRAME_US = 1000
"""How long the link takes for a frame."""


def bucket(count: int, burst: int, stalls: Sequence[tuple[int, int]] = (), frame_us: int = FRAME_US,
           ) -> list[tuple[int, int]]:
    """When a token bucket that always has frames waiting sends them: one each ``frame_us``, none during ``stalls``
    (from, to, in us), and at once after one as many as it missed, up to ``burst``."""
    arrivals: list[tuple[int, int]] = []
    tokens, now_us = 0, 0
    while len(arrivals) < count:
        now_us += frame_us
        tokens = min(tokens + 1, burst)
        if not any(begin <= now_us < end for begin, end in stalls):
            arrivals += [(now_us * 1000, FRAME_BYTES)] * tokens
            tokens = 0
    return arrivals[:count]


def test_a_punctual_link_is_never_late() -> None:
    assert max(late_us(bucket(500, 4), RATE_BPS)) == 0
    assert late_us([], RATE_BPS) == []


def test_what_a_burst_makes_up_for_is_late_only_until_then() -> None:
    lates = late_us(bucket(500, 4, stalls=[(100_000, 103_000)]), RATE_BPS)
    assert [late for late in lates if late] == pytest.approx([3000, 2000, 1000])


def test_what_it_does_not_make_up_for_counts_as_long_as_the_window_and_no_longer() -> None:
    arrivals = bucket(500, 4, stalls=[(100_000, 110_000)])
    lates = late_us(arrivals, RATE_BPS)
    assert max(lates) == pytest.approx(10_000)
    late = [(t_ns / 1e9, us) for (t_ns, _), us in zip(arrivals, lates, strict=True) if us]
    assert late[-1][0] - late[0][0] == pytest.approx(WINDOW_S, rel=0.15)
    assert sorted(us for _, us in late)[len(late) // 2] == pytest.approx(7000)  # the fourth of a burst of 4 ms


def test_one_stall_in_a_thousand_frames_is_let_pass_and_a_third_is_not() -> None:
    stalls = [(at, at + 12_000) for at in range(100_000, 1_000_000, 300_000)]
    assert late_at_most_us(bucket(1000, 4, stalls[:1]), RATE_BPS) == 0
    assert late_at_most_us(bucket(1000, 4, stalls), RATE_BPS) == pytest.approx(9000)


def test_a_stall_longer_than_the_window_is_no_smaller_than_one_as_long() -> None:
    arrivals = bucket(500, 4, stalls=[(100_000, 400_000)])
    assert max(late_us(arrivals, RATE_BPS)) == pytest.approx(WINDOW_S * 1e6, rel=0.05)
    assert late_at_most_us(arrivals, RATE_BPS) > 20_000


def test_a_link_slower_than_asked_is_late_by_what_it_loses_in_a_window() -> None:
    assert late_at_most_us(bucket(500, 4, frame_us=1250), RATE_BPS) == pytest.approx(WINDOW_S * 1e6 / 5, rel=0.05)


def test_a_faster_link_is_not_late() -> None:
    assert max(late_us(bucket(500, 4, frame_us=900), RATE_BPS)) == 0


def test_frames_of_all_sizes_take_their_own_time() -> None:
    sizes = [60, 1500, 600, 1500] * 100
    t_ns, arrivals = 0, []
    for size in sizes:
        t_ns += round(size * 8e9 / RATE_BPS)
        arrivals.append((t_ns, size))
    assert max(late_us(arrivals, RATE_BPS)) < 1


def test_a_slow_link_is_looked_at_for_more_than_the_window() -> None:
    arrivals = bucket(100, 2, stalls=[(500_000, 800_000)], frame_us=100_000)
    assert max(late_us(arrivals, RATE_BPS / 100)) == pytest.approx(300_000)
