"""Who may know whom, read from the imports."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MACHINE = {"mininet", "subprocess", "socket", "pyroute2", "ctypes"}
FRAMEWORKS = {"ryu", "os_ken", "eventlet"}
PURE_SOCKET_USERS = {"emu/packets.py"}
"""These convert addresses with ``socket``'s functions and open nothing."""


def modules() -> list[str]:
    folders = ("emu", "controllers", "experiments")
    return sorted(str(path.relative_to(CHECKOUT)) for folder in folders for path in (CHECKOUT / folder).rglob("*.py"))


def imports(module: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse((CHECKOUT / module).read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def roots(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)}


@pytest.mark.parametrize("module", modules())
def test_imports(module: str) -> None:
    top = module.split("/", maxsplit=1)[0]
    if top == "emu":
        assert "controllers" not in roots(module)
        if module == "emu/mn.py":
            assert not (roots(module) & MACHINE) - {"mininet"}
        elif not module.startswith("emu/live/") and module not in PURE_SOCKET_USERS:
            assert not roots(module) & MACHINE
    if top == "controllers":
        assert not roots(module) & {"emu", "mininet"}
        if module != "controllers/framework.py":
            assert not roots(module) & FRAMEWORKS
    if module.startswith(("emu/designs/", "emu/backends/")) or module in ("emu/model.py", "emu/addressing.py"):
        assert not [name for name in imports(module) if name.startswith(("emu.live", "emu.measure"))]
    if module.startswith("emu/live/"):
        assert not [name for name in imports(module) if name.startswith(("emu.guide", "emu.measure"))]
        if module != "emu/live/lab.py":
            assert not [name for name in imports(module) if name.startswith("emu.designs")]
    if module.startswith("emu/measure/"):
        assert not [name for name in imports(module) if name.startswith("emu.sweep")]
    if module.startswith("emu/sweep/"):
        assert not [name for name in imports(module) if name.startswith(("emu.live", "emu.verbs", "emu.walk"))]
    if module.startswith(("emu/walk/", "emu/guide/")):
        assert not [name for name in imports(module) if name.startswith(("emu.live", "emu.measure", "emu.show"))]
    if module.startswith("emu/walk/"):
        assert not [name for name in imports(module) if name.startswith(("emu.designs", "emu.guide"))]


@pytest.mark.parametrize("module", modules())
def test_no_file_is_longer_than_400_lines(module: str) -> None:
    assert len((CHECKOUT / module).read_text().splitlines()) <= 400


def test_mininets_own_command_needs_no_more_than_mininet_and_the_standard_library() -> None:
    if importlib.util.find_spec("mininet") is None:
        pytest.skip("Mininet is not installed for this Python")
    program = """
import sys
class Lacks:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in {"emu", "mininet", "packaging", *sys.stdlib_module_names}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Lacks())
names = {}
exec(compile(open("emu/mn.py").read(), "emu/mn.py", "exec"), names)
print(*names["topos"]["deck"](design="overlay", nodes=2, containers=1).hosts())
"""
    argv = [sys.executable, "-B", "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert (done.stdout, done.stderr) == ("ctr-1 ctr-2 node-a node-b\n", "")
