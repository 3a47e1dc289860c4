"""``emu routes``: what the switch and the controller of a running lab go by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from emu.speakers.bird import sessions
from emu.verbs.common import Arguments

FORMAT = "emu-routes/1"
KINDS = ("sessions", "routes", "next_hops", "stations", "bindings", "tables", "flows")
"""Every kind of rows there is; a document has them all."""
_FLOW = re.compile(r"table=(\d+), n_packets=(\d+), n_bytes=(\d+), (?:.*?)priority=(\d+)(?:,(\S+))? actions=(\S+)")


def routes(arguments: Arguments) -> int:
    """``emu routes``."""
    from emu.live.inspect import ask
    from emu.live.tree import find_tree

    tree = find_tree(arguments.lab)
    document = {"format": FORMAT, "lab": tree.lab_id, "design": tree.spec, **document_of(ask(tree))}
    if arguments.json:
        print(json.dumps(document, indent=1))
    else:
        print("\n".join(lines_of(document)))
    return 0


def document_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a lab told, as ``emu routes --json`` prints it: rows of one kind under each name; ``controller`` is
    ``None`` where it does not answer."""
    known = dict(found["known"])
    names = {row["table"]: row["name"] for row in known.pop("tables", [])}
    flows = [flow for line in found["flows"] if (flow := _flow(line, names))]
    told = [session for text in found["told"] for session in sessions(text)]
    rows = {"sessions": told, **known, "tables": _tables(flows, names), "flows": flows}
    controller = found["controller"] or {"framework": None, "errors": []}
    return {"controller": controller["framework"], "errors": [*found["silent"], *controller["errors"]],
            **{name: rows.get(name, []) for name in KINDS}}


def _flow(line: str, names: Mapping[int, str]) -> dict[str, Any] | None:
    found = _FLOW.search(line)
    if found is None:
        return None
    table, packets, size_bytes, priority = (int(text) for text in found.groups()[:4])
    return {"table": table, "name": names.get(table, str(table)), "priority": priority, "match": found[5] or "",
            "actions": found[6], "packets": packets, "bytes": size_bytes}


def _tables(flows: Iterable[Mapping[str, Any]], names: Mapping[int, str]) -> list[dict[str, Any]]:
    counted: dict[int, list[Mapping[str, Any]]] = {table: [] for table in names}
    for flow in flows:
        counted.setdefault(flow["table"], []).append(flow)
    return [{"table": table, "name": names.get(table, str(table)), "flows": len(some),
             "packets": sum(flow["packets"] for flow in some)} for table, some in sorted(counted.items())]


def lines_of(document: Mapping[str, Any]) -> Iterator[str]:
    """The document for a terminal: a table for each kind of rows; of flows only those that met a packet."""
    yield f"{document['design']} as {document['lab']}, controller {document['controller'] or 'does not answer'}"
    if document["errors"]:
        yield from ("", *(f"ERROR {text}" for text in document["errors"]))
    for name in KINDS:
        rows = document[name]
        if not rows:
            yield from ("", f"{name.replace('_', ' ')}: none")
            continue
        shown = [row for row in rows if row["packets"]] if name == "flows" else rows
        title = f"{name.replace('_', ' ')} ({len(rows)})"
        yield from ("", f"{title}, those that met packets:" if name == "flows" else f"{title}:", *_table(shown))


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    from emu.measure.words import columns

    if rows:
        heads = list(rows[0])
        cells = [heads, *([_text(row.get(head)) for head in heads] for row in rows)]
        yield from (f"  {line}" for line in columns(cells))


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
