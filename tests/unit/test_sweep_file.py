"""The file of a sweep: the grid it makes, and every mistake in it at once, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.cli import main
from emu.measure.blocks import PROFILES
from emu.measure.workloads import DEFAULT_WORKLOADS
from emu.model import Scenario
from emu.sweep.axes import grid, point_name
from emu.sweep.file import MOST_POINTS, read_sweep
from tests.unit.sweep_support import sweep_of

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "sweep.yaml"


def problems_of(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with a file, without its name."""
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    problems: list[str] = []
    assert read_sweep(file, problems) is None
    assert all(problem.startswith(str(file)) for problem in problems)
    return [problem.removeprefix(f"{file}:") for problem in problems]


def test_scenario_options_make_points_and_workloads_parameters_make_variants(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "sweep.yaml", """
designs: [bare, "overlay:backend=vxlan"]
workloads: [ping, udp_stream, "udp_rr:per_second=1000", udp_rr]
profile: quick
pod-cidr: 10.64.0.0/12
sweep:
  mtu: [1500, 9000]
  bw: [10, 0.5, null]
  udp_stream.size: [64, 1400]
  udp_rr.size: [64, 512]
""")
    assert sweep.designs == ("bare", "overlay:backend=vxlan,outside=none")
    assert sweep.profile == PROFILES["quick"]
    assert [point.name for point in sweep.points] == [
        "mtu=1500,bw=10", "mtu=1500,bw=0.5", "mtu=1500,bw=unshaped",
        "mtu=9000,bw=10", "mtu=9000,bw=0.5", "mtu=9000,bw=unshaped"]
    assert sweep.points[1].scenario == Scenario(mtu=1500, bw=0.5, pod_cidr="10.64.0.0/12")
    assert sweep.points[5].scenario == Scenario(mtu=9000, pod_cidr="10.64.0.0/12")
    assert {variant.name: (variant.base, dict(variant.values)) for variant in sweep.variants} == {
        "ping": ("ping", {}),
        "udp_stream:size=64": ("udp_stream", {"udp_stream.size": 64}),
        "udp_stream": ("udp_stream", {"udp_stream.size": 1400}),
        "udp_rr:per_second=1000": ("udp_rr:per_second=1000", {"udp_rr.size": 64}),
        "udp_rr:size=512,per_second=1000": ("udp_rr:per_second=1000", {"udp_rr.size": 512}),
        "udp_rr": ("udp_rr", {"udp_rr.size": 64}),
        "udp_rr:size=512": ("udp_rr", {"udp_rr.size": 512}),
    }


def test_what_is_left_out_is_as_compare_has_it_and_parameters_alone_make_one_point(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "sweep.yaml", "sweep: {tcp_stream.flows: [1, 2]}\n")
    assert [spec.partition(":")[0] for spec in sweep.designs] == ["bare", "l2", "routed", "overlay"]
    assert sweep.workloads == [w for name in DEFAULT_WORKLOADS
                               for w in ([name, "tcp_stream:flows=2"] if name == "tcp_stream" else [name])]
    assert sweep.profile.name == "standard"
    assert [(point.name, point.scenario) for point in sweep.points] == [("point", Scenario())]


def test_the_order_of_points_is_drawn_from_the_seed(tmp_path: Path) -> None:
    def order(seed: int) -> list[int]:
        text = f"seed: {seed}\nsweep: {{mtu: [1000, 1100, 1200, 1300, 1400, 1500]}}\n"
        sweep = sweep_of(tmp_path / "sweep.yaml", text)
        return [point.order for point in sweep.points]

    assert sorted(order(1)) == list(range(6))
    assert order(1) == order(1) != order(2)
    assert order(1) != sorted(order(1))


def test_the_example_of_the_documentation_is_one_of_its_kind() -> None:
    problems: list[str] = []
    sweep = read_sweep(EXAMPLE, problems)
    assert problems == []
    assert sweep
    assert len(sweep.points) == 6


def test_every_mistake_is_named_at_once_with_its_line_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("""designs: [bare, bear, bare]
workloads: [udp_stream, "udp_rr:size=512", "tcp_stream:flows=99"]
profile: slow
nodes: many
colour: red
mtu: 9000
sweep:
  mtu: [1500, 9000]
  containers: [3,
               300000]
  bw: [10, fast, 0, 10.0]
  udp_rr.size: [64, 512]
  udp_stream.size: [64, 65, 64]
  udp_stream.flows: [1]
  tcp_crr.size: [64]
  juggling.balls: [3]
  delay: 3
  loss: [null]
  outside: [1]
  links: [1]
""")
    assert main(["sweep", str(file), "--out", str(file / "in-a-file"), "--bananas"]) == 2
    found = [line.removeprefix("emu: ").removeprefix(f"{file}:").split(";")[0] for line in
             capsys.readouterr().err.splitlines()]
    assert sorted(found) == sorted([
        "sweep knows no '--bananas'",
        f"cannot make the result folder {file}/in-a-file: in {file}: Not a directory",
        "1: there is no design 'bear'",
        "1: design 'bare' is named twice",
        "2: workload udp_rr:size=512: size is swept",
        "2: workload tcp_stream: flows takes " + "|".join(map(str, range(1, 17))) + ", not '99'",
        "3: there is no profile 'slow'",
        "4: --nodes takes N, not 'many'",
        "5: unknown scenario option 'colour'",
        "8: 'mtu' is swept, and given beside the sweep, too",
        "10: --containers 300000: at most 65532 on a node",
        "11: --bw takes MBIT, not 'fast'",
        "11: bw: 10.0 is named twice",
        "11: --bw 0: between 0.01 and 34359 Mbit/s",
        "13: workload udp_stream: size takes 1400|64|512|1500, not '65'",
        "13: udp_stream.size: 64 is named twice",
        "14: workload udp_stream: 'flows' is none of its parameters (size)",
        "15: tcp_crr.size is swept, but tcp_crr is not among the workloads",
        "16: there is no workload 'juggling'",
        "17: delay takes a list of the values it is to have",
        "18: --loss takes PCT, not null",
        "19: 'outside' cannot be swept",
        "20: 'links' cannot be swept",
    ])
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


def test_points_that_cannot_be_are_told_beforehand(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "pod-cidr: 10.0.0.0/20\nsweep: {nodes: [2, 3], containers: [1, 300]}\n") == [
        f"1: --pod-cidr 10.0.0.0/20 is too small for {nodes} nodes with 300 containers each: a wider one is needed"
        for nodes in (2, 3)]
    assert problems_of(tmp_path, "workloads: [incast]\nsweep:\n  nodes: [2, 3]\n  mtu: [1400, 1500]\n"
                                 "  incast.senders: [2]\ndesigns: [bare]\n") == [
        "2: point nodes=2,mtu=1400 and 1 more: incast: in this scenario bare has only 1 on other nodes than the "
        "receiver"]
    assert problems_of(tmp_path, "jitter: 2\nsweep: {delay: [1, 3]}\n") == [
        "1: --jitter 2 is more than --delay 1: no frame arrives before it is sent"]


@pytest.mark.parametrize("text", ["", "mtu: 1500", "sweep: 3", "sweep: {}", "[1]", "a: !odd 3", "sweep: {mtu: [}",
                                  "designs: bare\nsweep: {mtu: [1500]}", "designs: [1]\nsweep: {mtu: [1500]}",
                                  "workloads: []\nsweep: {mtu: [1500]}", "profile: [quick]\nsweep: {mtu: [1500]}",
                                  "sweep: {mtu: [1500]}\nmtu: 2000", "sweep: {ping.size: [1]}"])
def test_what_is_no_sweep_is_one_mistake(tmp_path: Path, text: str) -> None:
    assert len(problems_of(tmp_path, text)) == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    problems: list[str] = []
    assert read_sweep(tmp_path / "none.yaml", problems) is None
    assert len(problems) == 1
    assert "cannot read the sweep file" in problems[0]


def test_there_can_be_too_many_points(tmp_path: Path) -> None:
    values = ", ".join(map(str, range(1000, 1000 + MOST_POINTS // 2 + 1)))
    (problem,) = problems_of(tmp_path, f"sweep: {{mtu: [{values}], offload: [on, off]}}\n")
    assert problem == f"1: these are {MOST_POINTS + 2:,} points; at most {MOST_POINTS:,} can be"


def test_names_of_points_are_names_of_folders(tmp_path: Path) -> None:
    assert point_name({"pod_cidr": "10.0.0.0/16", "nodes": None, "offload": "on"}) == (
        "pod_cidr=10.0.0.0_16,nodes=deck,offload=on")
    sweep = sweep_of(tmp_path / "sweep.yaml", "sweep: {offload: [on, off], sdn: [ryu, os-ken]}\n")
    assert [point.name for point in grid(sweep.axes, sweep.scenario)] == [
        "offload=on,sdn=ryu", "offload=on,sdn=os-ken", "offload=off,sdn=ryu", "offload=off,sdn=os-ken"]
