"""What blocks say against a run: each test fires where it should, and not where it should not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from emu.measure.permutation import drifted, swapped
from emu.measure.stats import LEVEL
from emu.measure.trust import CONTROL, CONTROL_BLOCKS, CONTROL_LEVEL, Blocks, Key, control_of, drift

RTT, RATE, STREAM = ("ping", "rtt"), ("tcp_rr", "rate"), ("tcp_stream", "throughput")


def blocks_of(count: int, times: Mapping[Key, float] | None = None, grows: Mapping[Key, float] | None = None) -> Blocks:
    """Figures of bare, its control and l2 that scatter by 2 %; some ``times`` as large, some that grow by a share until
    the last block."""
    generator = np.random.default_rng(5)
    made = {}
    for spec in ("bare", CONTROL, "l2"):
        for question in (RTT, RATE, STREAM):
            key = (spec, *question)
            slope = np.linspace(1, 1 + (grows or {}).get(key, 0), count)
            made[key] = dict(enumerate((times or {}).get(key, 1) * slope * generator.normal(100, 2, count)))
    return made


def control_reasons(blocks: Blocks) -> list[str]:
    control = control_of(blocks, "bare", LEVEL)
    assert control is not None
    return [reason.text for reason in control.reasons()]


def test_two_equal_labs_are_no_reason() -> None:
    assert control_reasons(blocks_of(10)) == []


@pytest.mark.parametrize("blocks", [CONTROL_BLOCKS, 10, 20])
def test_a_control_that_differs_is_a_reason_for_that_workload(blocks: int) -> None:
    (reason,) = control_reasons(blocks_of(blocks, times={(CONTROL, *RTT): 1.5}))
    assert reason.startswith("control: bare differs from bare, ping: rtt is 1.")


def test_too_few_blocks_for_the_control_are_told() -> None:
    control = control_of(blocks_of(CONTROL_BLOCKS - 1, times={(CONTROL, *RTT): 2}), "bare", LEVEL)
    assert control is not None
    assert control.reasons() == []
    assert control.notes() == ["control: 8 blocks are too few to test bare against bare; 9 are enough"]
    assert 2 / 2 ** (CONTROL_BLOCKS - 1) > CONTROL_LEVEL > 2 / 2**CONTROL_BLOCKS


def test_a_run_without_a_control_has_none() -> None:
    blocks = {key: values for key, values in blocks_of(10).items() if key[0] != CONTROL}
    assert control_of(blocks, "bare", LEVEL) is None


def test_blocks_that_one_of_the_two_lacks_are_left_out() -> None:
    blocks = {key: dict(values) for key, values in blocks_of(11).items()}
    bare = blocks[("bare", *RTT)]
    blocks[(CONTROL, *RTT)] = {block: 3 * value for block, value in bare.items() if block not in (2, 10)}
    assert len(control_reasons(blocks)) == 1


def test_steady_figures_do_not_drift() -> None:
    assert drift(blocks_of(10)) == []


def test_figures_that_grow_drift_and_the_reason_says_which() -> None:
    (reason,) = drift(blocks_of(10, grows={("l2", *STREAM): 0.5}))
    assert (reason.design, reason.workload) == ("l2", "tcp_stream")
    assert reason.text.startswith("tcp_stream: drift from the first third of the blocks to the last: l2 throughput 1.3")
    (shared,) = drift(blocks_of(10, grows={(spec, *STREAM): 0.5 for spec in ("bare", CONTROL, "l2")}))
    assert (shared.design, shared.workload) == (None, "tcp_stream")


def test_a_drift_too_small_to_matter_is_let_pass() -> None:
    """It is there beyond doubt."""
    steady = {("bare", *RTT): {block: 100 + 0.3 * block for block in range(12)}}
    assert drifted(np.log([[value] for value in steady[("bare", *RTT)].values()]))[0] < 0.001
    assert drift(steady) == []


def test_p_values_are_those_of_all_arrangements() -> None:
    """Eight blocks all on one side: of 256 patterns of signs two look so, whatever the sizes."""
    assert swapped(np.array([[0.1 * block] for block in range(1, 9)])) == pytest.approx([2 / 256])


def test_more_series_make_it_harder_for_each() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(0, 1, (10, 20))
    assert swapped(values)[0] > swapped(values[:, :1])[0]
    assert drifted(values)[0] > drifted(values[:, :1])[0]
