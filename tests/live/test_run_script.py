"""`./run` on this machine, and in copies of the checkout where the system's Python is a stand-in.

A stand-in is bound over /usr/bin/python3 in a mount namespace of the test's own: the script under test is the real one,
and nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MAKING = "run: making the Python environment (.venv), once; this may take some minutes"
WAITING = "run: waiting for another ./run to finish its setting up"
DEADLINE_S = 300  # a software emulation is some 30 times slower
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
# Answers as a Python does to what ./run asks of it; notes in the checkout what it was asked, and who asked.
STAND_IN = """#!/bin/sh
checkout='{checkout}'
echo "$(id -u) $(umask) ${{PIP_CONSTRAINT-}} $*" >>"$checkout/asked"
case $* in
    -V) echo Python {version} ;;
    *'< (3, 10)'*) exit {is_too_old} ;;
    '-m venv'*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
    '-m pip'*) [ ! -p "$checkout/gate" ] || {{ echo arrived >"$checkout/arrivals"; read -r _ <"$checkout/gate"; }}
        [ ! -e "$checkout/offline" ] || {{ echo 'no route to the index'; exit 1; }} ;;
    '-I '*'-m emu'*) while [ "$1" != emu ]; do shift; done; shift; printf '<%s>' "$@" ;;
esac
"""

# A machine that has every package but those which tests alone use; apt-get installs nothing.
TOOLS = {
    "apt-get": """#!/bin/sh
echo "apt-get $*" >>'{checkout}/asked'
""",
    "dpkg": "#!/bin/sh\n",
    "dpkg-query": """#!/bin/sh
for package; do
    case $package in -* | *[{{]* | chromium* | tshark) ;; *) printf '%s:installed ' "$package" ;; esac
done
""",
}
TEST_PACKAGES = "chromium chromium-driver tshark"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="binds a stand-in over /usr/bin/python3: needs root")


def run(*words: str, checkout: Path = CHECKOUT, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*prefix, str(checkout / "run"), *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=DEADLINE_S, check=False, cwd="/")


class Copy:
    """A checkout that belongs to an ordinary user, and a stand-in for the system's Python that its ``./run`` sees."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a checkout"  # with a space
        self.path.mkdir()
        for name in ("run", "setup.py", "constraints.txt"):
            shutil.copy(CHECKOUT / name, self.path)
        self.notes = self.path / "asked"
        self.notes.touch()
        for path in (self.path, *self.path.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        self.started: list[subprocess.Popen[str]] = []
        self.open_fifos: list[int] = []
        self.stand_in = folder / "python"
        self.system_is("3.11.2")

    def system_is(self, version: str) -> None:
        """From now on the system has a Python of this version."""
        is_too_old = int(version.startswith("3.8"))
        self.stand_in.write_text(STAND_IN.format(checkout=self.path, version=version, is_too_old=is_too_old))
        self.stand_in.chmod(0o755)

    def seeing(self, before: str = ":") -> tuple[str, ...]:
        """The prefix of a command that is to see the stand-in; ``before`` runs in its mount namespace first."""
        script = f'mount --bind "$1" "$(readlink -f /usr/bin/python3)" && {before} && shift && exec "$@"'
        logs = f"TMPDIR={self.path.parent}"
        return ("env", logs, "unshare", "--mount", "sh", "-c", script, "sh", str(self.stand_in))

    def on_a_machine_of(self, distribution: str) -> str:
        """What ``before`` has to do so that ``./run`` meets TOOLS, and no trace of earlier installations."""
        folder = self.path.parent
        for name, script in TOOLS.items():
            (folder / name).write_text(script.format(checkout=self.path))
            (folder / name).chmod(0o755)
        (folder / "os-release").write_text(f"ID={distribution}\n")
        state = "/var/lib/kubenet-emu"
        return (f"mount --bind {folder}/os-release /etc/os-release && mkdir -p {state} && mount -t tmpfs tmpfs {state}"
                f" && export PATH={folder}:$PATH")

    def run(self, *words: str, before: str = ":", prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """``./run WORDS``, seeing the stand-in and started by ``prefix``."""
        return run(*words, checkout=self.path, prefix=(*self.seeing(before), *prefix))

    def start(self) -> subprocess.Popen[str]:
        """``./run doctor`` in the background, with the process id of the script itself."""
        self.started.append(subprocess.Popen([*self.seeing(), str(self.path / "run"), "doctor"], text=True,
                                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return self.started[-1]

    def stop_pip(self) -> tuple[int, int]:
        """From now on pip writes a line to the first descriptor returned, and waits for one from the second."""
        for name in ("arrivals", "gate"):
            os.mkfifo(self.path / name)
            os.chown(self.path / name, NOBODY, NOBODY)
            self.open_fifos.append(os.open(self.path / name, os.O_RDWR))
        return self.open_fifos[0], self.open_fifos[1]

    def close(self) -> None:
        """End what a failed test has left."""
        for process in self.started:
            process.kill()
            process.communicate()
        for descriptor in self.open_fifos:
            os.close(descriptor)

    def asked(self) -> list[str]:
        """What the stand-in was asked to do since the last call, the questions of its version left out."""
        lines = self.notes.read_text().splitlines()
        self.notes.write_text("")
        return [line for line in lines if " -c " not in line and not line.endswith(" -V")]


@pytest.fixture
def copy() -> Iterator[Copy]:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: ordinary users may not enter that
        Path(folder).chmod(0o755)
        copy = Copy(Path(folder))
        yield copy
        copy.close()


def test_nothing_is_set_up_again() -> None:
    stamp = (CHECKOUT / ".venv/.ready").stat().st_mtime_ns
    done = run("--help")
    assert done.returncode == 0
    assert "compare" in done.stdout
    assert done.stderr == ""  # setting something up is always said
    assert (CHECKOUT / ".venv/.ready").stat().st_mtime_ns == stamp


@needs_root
def test_an_ordinary_user_uses_what_root_has_set_up() -> None:
    if subprocess.run([*AS_NOBODY, "test", "-x", str(CHECKOUT / "run")], check=False).returncode:
        pytest.skip(f"ordinary users may not enter {CHECKOUT}")
    done = run("--help", prefix=AS_NOBODY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "compare" in done.stdout


def test_what_is_in_the_checkout_belongs_to_its_owner() -> None:
    owner = CHECKOUT.stat().st_uid
    assert [path for path in (CHECKOUT / ".venv").rglob("*") if path.lstat().st_uid != owner] == []


@needs_root
def test_root_makes_the_environment_as_the_checkouts_owner_and_then_becomes_emu(copy: Copy) -> None:
    done = copy.run("up", "l2:proxy_arp=switch", "--exec", "ctr-1 ping -c1 ctr-4")
    assert (done.returncode, done.stdout) == (0, "<up><l2:proxy_arp=switch><--exec><ctr-1 ping -c1 ctr-4>")
    assert done.stderr == f"{MAKING}\n"
    venv, pip, emu = copy.asked()
    assert venv == f"{NOBODY} 0022  -m venv --system-site-packages {copy.path}/.venv"
    assert pip.startswith(f"{NOBODY} 0022 constraints.txt -m pip install")
    assert emu.startswith("0 0022  -I -B -m emu up")
    assert [path for path in copy.path.rglob("*") if path.lstat().st_uid != NOBODY] == []

    done = copy.run("doctor")
    assert (done.stdout, done.stderr) == ("<doctor>", "")
    assert len(copy.asked()) == 1  # emu itself


@needs_root
def test_an_interrupted_installation_is_made_anew(copy: Copy) -> None:
    copy.run("doctor")
    (copy.path / ".venv/.ready").unlink()  # as it is until everything is installed
    half_written = copy.path / ".venv/half-written"
    half_written.touch()
    copy.asked()
    assert copy.run("doctor").returncode == 0
    assert not half_written.exists()
    assert [line.split(" -m ")[1].split()[0] for line in copy.asked()] == ["venv", "pip", "emu"]


@needs_root
def test_changed_requirements_are_installed_into_the_environment_there_is(copy: Copy) -> None:
    copy.run("doctor")
    kept = copy.path / ".venv/kept"
    kept.touch()
    with (copy.path / "constraints.txt").open("a") as file:
        file.write("six<2\n")
    copy.asked()
    done = copy.run("doctor")
    assert done.stderr == "run: bringing the Python environment (.venv) up to date\n"
    assert kept.exists()
    assert len(copy.asked()) == 2  # pip, emu


@needs_root
def test_a_failed_installation_is_explained_and_tried_again(copy: Copy) -> None:
    (copy.path / "offline").touch()
    done = copy.run("doctor")
    assert (done.returncode, done.stdout) == (3, "")
    *_, cause, advice = done.stderr.splitlines()
    assert cause == "no route to the index"
    assert advice.startswith("run: pip install failed")
    (copy.path / "offline").unlink()
    assert copy.run("doctor").stdout == "<doctor>"


def said(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


@needs_root
def test_of_two_at_once_one_waits_and_finds_everything_done(copy: Copy) -> None:
    _, gate = copy.stop_pip()
    first = copy.start()
    assert said(first) == f"{MAKING}\n"
    second = copy.start()
    assert said(second) == f"{WAITING}\n"
    os.write(gate, b"go\n")
    assert second.communicate(timeout=DEADLINE_S) == ("<doctor>", "")
    assert first.communicate(timeout=DEADLINE_S) == ("<doctor>", "")
    assert sum("-m venv" in line for line in copy.asked()) == 1


@needs_root
def test_a_killed_installation_is_waited_for_and_made_anew(copy: Copy) -> None:
    arrivals, gate = copy.stop_pip()
    first = copy.start()
    assert os.read(arrivals, 100) == b"arrived\n"
    first.kill()  # pip goes on without it
    assert first.wait(DEADLINE_S) == -signal.SIGKILL
    second = copy.start()
    assert said(second) == f"{WAITING}\n"
    os.write(gate, b"go\ngo\n")
    assert second.communicate(timeout=DEADLINE_S) == ("<doctor>", f"{MAKING}\n")
    assert sum("-m venv" in line for line in copy.asked()) == 2


@needs_root
def test_ryu_is_left_out_where_it_does_not_build(copy: Copy) -> None:
    copy.run("doctor")
    assert any(".[dev,ryu]" in line for line in copy.asked())
    copy.stand_in.write_text(copy.stand_in.read_text().replace("-V)", "*'>= (3, 12)'*) exit 1 ;;\n    -V)"))
    (copy.path / ".venv/.ready").unlink()
    copy.run("doctor")
    assert any(line.endswith(".[dev]") for line in copy.asked())


@needs_root
def test_too_old_a_python_is_refused_in_one_line_that_says_what_to_take(copy: Copy) -> None:
    copy.system_is("3.8.10")
    done = copy.run("doctor")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("run: Python 3.8.10 is too old")
    assert "Debian 12 or 13" in done.stderr
    assert not (copy.path / ".venv").exists()


@needs_root
def test_an_ordinary_user_is_told_how_missing_packages_come(copy: Copy) -> None:
    # With dpkg's records out of sight, no package is installed.
    done = copy.run("doctor", before="mount --bind /dev/null /var/lib/dpkg/status", prefix=AS_NOBODY)
    assert (done.returncode, done.stdout) == (3, "")
    assert "mininet nftables nginx openvswitch-switch" in done.stderr
    assert done.stderr.endswith("sudo ./run doctor\n")
    assert not (copy.path / ".venv").exists()


@needs_root
@pytest.mark.parametrize(("prefix", "verb", "distribution", "installed"), [
    ((), "test", "debian", [TEST_PACKAGES]),
    ((), "test", "ubuntu", ["tshark"]),
    ((), "doctor", "debian", []),
    (AS_NOBODY, "test", "debian", []),
])
def test_what_tests_alone_use_is_installed_by_roots_tests_alone(
    copy: Copy, prefix: tuple[str, ...], verb: str, distribution: str, installed: list[str]
) -> None:
    copy.run("doctor")
    copy.asked()
    done = copy.run(verb, before=copy.on_a_machine_of(distribution), prefix=prefix)
    assert done.returncode == 0, done.stderr
    asked = copy.asked()
    assert [line.partition(" install ")[2] for line in asked if line.startswith("apt-get -qy")] == installed
    assert asked[-1].endswith("-m tests.side_by_side" if verb == "test" else "-m emu doctor")


@needs_root
def test_a_user_who_may_not_write_the_checkout_is_told_how_the_environment_comes(copy: Copy) -> None:
    os.chown(copy.path, 0, 0)
    done = copy.run("doctor", prefix=AS_NOBODY)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "run: the Python environment must be made first, with: sudo ./run doctor\n"
