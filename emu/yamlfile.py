"""YAML files whose mistakes are told with their lines. Every mistake is collected; none hides another.

PyYAML is loaded with the first file: a Python that reads none (Mininet's own command) need not have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml


@dataclass(frozen=True)
class InFile:
    """A value of a YAML file, as the parser has it, and where it stands."""

    node: yaml.Node
    file: Path
    line: int

    @property
    def value(self) -> Any:
        return _value(self.node)

    @property
    def where(self) -> str:
        """What a complaint about it begins with."""
        return f"{self.file}:{self.line}: "

    def entries(self, problems: list[str]) -> dict[str, InFile] | None:
        """The values of a mapping by their keys, each at its key's line; ``None`` of anything else. A key that is given
        twice, with ``-`` for ``_`` or not, is a problem more, and its last value counts."""
        import yaml

        if not isinstance(self.node, yaml.MappingNode):
            return None
        found: dict[str, InFile] = {}
        given: set[str] = set()
        for key_node, node in self.node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            name = key.replace("-", "_")
            if name in given:
                problems.append(f"{self.file}:{line}: '{key}' is given twice")
            given.add(name)
            found[key] = InFile(node, self.file, line)
        return found

    def elements(self) -> list[InFile] | None:
        """The values of a list, each at its own line; ``None`` of anything else."""
        import yaml

        if not isinstance(self.node, yaml.SequenceNode):
            return None
        return [InFile(node, self.file, node.start_mark.line + 1) for node in self.node.value]


def read_entries(path: Path, kind: str, holds: str, problems: list[str]) -> dict[str, InFile]:
    """The values of a YAML file that is one mapping, by their keys; none, and a problem more, if it is something else.

    ``kind``: what such a file is called, as in ``scenario file``; ``holds``: what is in one, in words.
    """
    import yaml

    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if root is None:
            return {}
        _value(root)  # what cannot be made of a part of it is told now
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"cannot read the {kind} {path}: {error}")
        return {}
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        problems.append(f"{path} is not YAML: {' '.join(str(error).split())}")
        return {}
    entries = InFile(root, path, 1).entries(problems)
    if entries is None:
        problems.append(f"{path}: a {kind} holds {holds}")
        return {}
    return entries


def _value(node: yaml.Node) -> Any:
    import yaml

    return yaml.SafeLoader("").construct_object(node, deep=True)
