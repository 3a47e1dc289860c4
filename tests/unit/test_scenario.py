"""Scenario options from words, from Python and from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emu.errors import UsageError
from emu.model import Scenario, Shape
from emu.scenario import OPTIONS, from_mapping, read


def problems_of(values: dict[str, Any]) -> list[str]:
    with pytest.raises(UsageError) as caught:
        from_mapping(values)
    return list(caught.value.problems)


def test_the_defaults_are_the_decks() -> None:
    assert from_mapping({}) == Scenario()
    assert from_mapping({option.field: None for option in OPTIONS}).is_deck


def test_words_are_converted() -> None:
    given = {"nodes": "7", "containers": 2, "mtu": "9000", "pod_cidr": "10.0.0.0/8", "offload": "on", "sdn": "os-ken"}
    expected = Scenario(nodes=7, containers=2, mtu=9000, pod_cidr="10.0.0.0/8", offload="on", sdn="os-ken")
    assert from_mapping(given) == expected


def test_every_mistake_is_named() -> None:
    found = problems_of({"nodes": "many", "colour": "red", "offload": "maybe", "outside": "some", "datapath": "afxdp"})
    assert found == [
        "--nodes takes N, not 'many'",
        "unknown scenario option 'colour'; there are: " + ", ".join(option.name for option in OPTIONS),
        "--offload takes on|off, not 'maybe'",
        "--outside takes K, not 'some'",
        "--datapath afxdp is not built yet",
    ]


def test_links_are_as_asked_or_told_what_they_cannot_be() -> None:
    asked = from_mapping({"bw": "50", "delay": 2, "jitter": "0.5", "loss": "1e-3"})
    assert asked.shape_of("node-a") == Shape(50.0, 2.0, 0.5, 0.001)
    assert from_mapping({"loss": 100, "delay": 0}).shape_of("node-a") == Shape(loss=100.0)
    assert problems_of({"bw": 0, "delay": "-1", "jitter": 2, "loss": 101}) == [
        "--bw 0: between 0.01 and 34359 Mbit/s",
        "--delay -1: between 0 and 500 ms; beyond, ARP would give up on an answer",
        "--jitter 2 is more than --delay -1: no frame arrives before it is sent",
        "--loss 101: between 0 and 100 percent",
    ]
    assert problems_of({"jitter": 1}) == ["--jitter 1 is more than --delay 0: no frame arrives before it is sent"]
    assert len(problems_of({"bw": 40_000, "jitter": -1})) == 2


def test_some_links_may_be_otherwise_than_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("bw: 50\nlinks:\n  node-c: {bw: 10, loss: 1}\n  node-b: {delay: 3}\n")
    scenario, problems = read({"jitter": None}, file)
    assert problems == []
    assert [scenario.shape_of(f"node-{letter}") for letter in "abc"] == [
        Shape(50), Shape(50, delay=3), Shape(10, loss=1)]
    assert from_mapping({"bw": 50, "links": "{node-c: {bw: 10, loss: 1}, node-b: {delay: 3}}"}) == scenario


def test_every_mistake_in_links_is_named(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("loss: 101\nlinks: {node-c: {bw: 0, delay: -1}, node-z: {loss: 102}}\n")
    assert read({}, file)[1] == [
        f"{file}:1: --loss 101: between 0 and 100 percent",
        f"{file}:2: --links node-c: bw 0: between 0.01 and 34359 Mbit/s",
        f"{file}:2: --links node-c: delay -1: between 0 and 500 ms; beyond, ARP would give up on an answer",
        f"{file}:2: --links node-z: loss 102: between 0 and 100 percent",
        f"{file}:2: --links: there is no node 'node-z', nor an outside machine",
    ]


@pytest.mark.parametrize("value", ["{", "fast", "3", ["node-a"], {"node-a": 3}, {"node-a": {"colour": 3}},
                                   {"node-a": {"bw": "fast"}}, {"node-a": {"bw": None}}, {"node-a": {"bw": True}}])
def test_what_are_no_links_is_one_mistake(value: object) -> None:
    assert len(problems_of({"links": value})) == 1


@pytest.mark.parametrize("field", ["bw", "delay", "jitter", "loss"])
def test_what_is_no_number_is_no_link(field: str) -> None:
    for value in ("nan", "inf", "-inf", "fast", True):
        assert len(problems_of({field: value})) == 1


@pytest.mark.parametrize("value", [True, 2.5, "2.5", [2], {"a": 1}, ""])
def test_a_number_of_nodes_is_a_whole_number(value: object) -> None:
    assert len(problems_of({"nodes": value})) == 1


def test_a_file_and_what_the_command_line_overrides(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("nodes: 8\ncontainers: 2\noffload: on\npod-cidr: 10.64.0.0/12\n")
    expected = Scenario(nodes=9, containers=2, offload="on", pod_cidr="10.64.0.0/12")
    assert read({"nodes": "9", "mtu": None}, file) == (expected, [])


def test_a_file_with_five_mistakes_names_each_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("nodes: many\ncolour: red\n\noutside: some\ncontainers: 2\ncontainers: 3\nmtu: 1\n")
    _, problems = read({}, file)
    assert sorted(problem.split(": ")[0] for problem in problems) == [f"{file}:{line}" for line in (1, 2, 4, 6, 7)]


def test_mistakes_of_a_file_and_of_the_command_line_do_not_hide_each_other(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("nodes: many\nmtu: 1\n")
    _, problems = read({"containers": "x", "mtu": "2", "seed": "-1"}, file)
    assert problems == [
        f"{file}:1: --nodes takes N, not 'many'",
        "--containers takes M, not 'x'",
        "--mtu 2: between 576 and 65000 bytes",
        "--seed -1: 0 or more",
    ]


@pytest.mark.parametrize("text", ["- a\n- b\n", "nodes: [\n", "just words"])
def test_a_file_that_is_no_scenario(tmp_path: Path, text: str) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(text)
    assert len(read({}, file)[1]) == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "cannot read" in read({}, tmp_path / "none.yaml")[1][0]


def test_an_empty_file_is_the_deck(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("# nothing\n")
    assert read({}, file) == (Scenario(), [])
