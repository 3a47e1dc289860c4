"""Running planned trials on open labs: servers, clients, readings, and what to do when a trial fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emu.errors import LabError
from emu.live.servers import Server, start
from emu.measure.blocks import Trial
from emu.measure.cost import costs
from emu.measure.metrics import METRICS, Reading
from emu.measure.parsers import BadOutput
from emu.measure.results import ResultFolder, Sample
from emu.measure.scripts import Call, Ends, Lengths, senders
from emu.measure.trust import CONTROL
from emu.measure.workloads import Workload

if TYPE_CHECKING:
    from emu.live.lab import Completed, Lab, Process

PATIENCE_S = 30.0
"""Beyond its expected time, how long a client may take before the trial counts as hung."""


class LabDied(LabError):
    """A lab stopped answering while it was measured, or fresh ones did not come up for a block."""


@dataclass
class Bench:
    """One open lab, its servers, and where its results go. ``control``: its samples are not those of its design."""

    lab: Lab
    lengths: Lengths
    folder: ResultFolder
    control: bool = False
    now: Callable[[], float] = time.time
    _servers: dict[tuple[str, ...], Process] = field(default_factory=dict)

    @property
    def design(self) -> str:
        """What samples name as their design."""
        return CONTROL if self.control else self.lab.plan.design

    @property
    def spec(self) -> str:
        """What trials, tables and complaints call it."""
        return CONTROL if self.control else self.lab.plan.spec

    @property
    def endpoints(self) -> tuple[str, str]:
        """The names of the machines that are measured from, and to."""
        endpoints = self.lab.plan.endpoints
        if endpoints is None:
            raise LabError(f"{self.spec}: this scenario has no two endpoints on two nodes to measure between")
        return endpoints

    def keep(self, what: str, machine: str, done: Completed, **more: object) -> None:
        """Keep a call of a tool on a machine in ``raw/``, and what ``more`` there is to know of it."""
        self.folder.add_call(what, {
            "design": self.spec, "machine": machine, **more, "argv": list(done.argv), "returncode": done.returncode,
            "stdout": done.stdout, "stderr": done.stderr,
        })

    def prepare(self, workloads: Sequence[Workload]) -> None:
        """Start all servers of ``workloads`` on the second endpoint and put down the clients' files."""
        for workload in workloads:
            for path, text in workload.files.items():
                self.lab.write(path, text)
            for server in workload.servers(self._address):
                self._serve(server)

    @property
    def _address(self) -> str:
        return self.lab.plan.address(self.endpoints[1])

    def _serve(self, server: Server) -> None:
        running = self._servers.get(server.argv)
        if running is not None and running.alive():
            return
        self._servers[server.argv] = start(self.lab, self.endpoints[1], server)

    def restart(self, workload: Workload) -> None:
        """Fresh servers after a failed trial, whose half-finished test may still occupy the old ones."""
        for server in workload.servers(self._address):
            with suppress(LabError):
                self._servers.pop(server.argv).stop()
            self._serve(server)

    def measure(self, trial: Trial, workload: Workload) -> list[Sample]:
        """Run one trial. A failure is a sample that says so, and so is whatever was measured in a lab that was not as
        planned any more at its end; ``LabDied`` if the lab is no longer there."""
        samples: list[Sample] = []
        try:
            for readings in self._calls(trial, workload):
                samples += [self._sample(trial, METRICS[r.metric].name, r.value, None) for r in readings]
        except BadOutput as error:
            samples.append(self._sample(trial, workload.metrics[0], None, str(error)))
        except LabError as error:
            self.errors(str(error))
            samples.append(self._sample(trial, workload.metrics[0], None, str(error)))
        if changed := self._changed():
            samples = [self._sample(trial, workload.metrics[0], None, changed)]
        if not all(sample.ok for sample in samples):
            try:
                self.restart(workload)
            except LabError as error:
                self.errors(str(error))
        return samples

    def _changed(self) -> str:
        """What is no longer as planned in the lab, if anything."""
        try:
            return "; ".join(self.lab.differences())
        except (LabError, OSError) as error:
            raise LabDied(f"the lab of {self.spec} died: it no longer answers") from error

    def errors(self, because: str = "it no longer answers") -> list[str]:
        """Exceptions of its controller and OpenFlow errors so far; ``LabDied``, ``because`` of what, if it is gone."""
        try:
            return self.lab.errors()
        except (LabError, OSError) as error:
            raise LabDied(f"the lab of {self.spec} died: {because}") from error

    def _calls(self, trial: Trial, workload: Workload) -> Iterator[list[Reading]]:
        ends = Ends(*self.endpoints, self._address, senders(self.lab.plan, workload.senders))
        timeout_s = workload.expected_s(self.lengths) + PATIENCE_S
        for _ in range(workload.calls(self.lengths)):
            if workload.cold:
                self.lab.cool()
            script = workload.script(ends, self.lengths)
            done: list[Completed] | None = None
            cost: list[Reading] = []
            while True:
                try:
                    calls = script.send(done)  # type: ignore[arg-type]  # a generator is started by sending None
                except StopIteration as end:
                    yield end.value + cost  # of the last batch: those before were warm-up
                    break
                before = self.lab.usage() if workload.amount else None
                done = self._run(trial, workload, calls, timeout_s)
                if workload.amount and before:
                    cost = costs(workload.amount.metric, workload.amount.count(done), before, self.lab.usage())

    def _run(self, trial: Trial, workload: Workload, calls: Sequence[Call], timeout_s: float) -> list[Completed]:
        """Run calls at the same time, and keep what they printed."""
        started = self.now()
        completed = self.lab.run_together([(call.machine, call.argv) for call in calls], timeout_s)
        for call, done in zip(calls, completed, strict=True):
            self.keep(f"{workload.kind}-{self.design}", call.machine, done, trial=trial.index, t=started)
        return completed

    def _sample(self, trial: Trial, metric: str, value: float | None, error: str | None) -> Sample:
        return Sample(
            design=self.design, params=dict(self.lab.plan.params), workload=trial.workload, metric=metric,
            unit=METRICS[metric].unit, block=trial.block, order=trial.order, trial=trial.index, value=value,
            ok=error is None, error=error, t=self.now(),
        )


def ask_versions(bench: Bench, workloads: Sequence[Workload]) -> dict[str, str]:
    """What each tool of ``workloads`` calls itself, up to its version; calls are kept in ``raw/``."""
    versions: dict[str, str] = {}
    for tool, argv in {tool: argv for workload in workloads for tool, argv in workload.tools.items()}.items():
        found = re.search(r"^\D*[\w.+~-]*", ask(bench, tool, argv))
        versions[tool] = found[0].strip() if found else "unknown"
    return versions


def ask(bench: Bench, what: str, argv: Sequence[str]) -> str:
    """What a command on the first endpoint prints, errors included; the call is kept in ``raw/``."""
    machine = bench.endpoints[0]
    done = bench.lab[machine].run(list(argv), timeout_s=PATIENCE_S)
    bench.keep(f"about-{what}", machine, done)
    return done.stdout + done.stderr


def about_machine(bench: Bench) -> dict[str, Any]:
    """CPU and virtualisation as ``lscpu`` tells them."""
    said = ask(bench, "cpu", ["env", "LC_ALL=C", "lscpu"])
    rows = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    found: Mapping[str, str] = {key.strip(): value.strip() for key, value in rows.items()}
    return {
        "cpu": found.get("Model name", "unknown"),
        "cpus": int(found["CPU(s)"]) if found.get("CPU(s)", "").isdigit() else None,
        "virtualisation": found.get("Hypervisor vendor", "none seen"),
    }


def revision(bench: Bench, checkout: Path) -> str | None:
    """The commit of ``checkout``, marked ``-dirty`` if a file of it was changed; ``None`` where there is no commit.

    Asked so that git writes nothing there: the checkout may be of another user than root.
    """
    if not (checkout / ".git").exists():
        return None
    git = ["env", "GIT_OPTIONAL_LOCKS=0", "git", "-c", f"safe.directory={checkout}", "-c", "core.fsmonitor=false",
           "-C", str(checkout)]
    commit = ask(bench, "revision", [*git, "rev-parse", "--short=12", "HEAD"]).split()
    if len(commit) != 1:
        return None
    changes = ask(bench, "changes", [*git, "status", "--porcelain", "--untracked-files=no"]).strip()
    return f"{commit[0]}-dirty" if changes else commit[0]
