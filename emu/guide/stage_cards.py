"""Nodes on the stage: cards of the upper row with all that is in them, cards and plates of the lower row."""

from __future__ import annotations

from emu.guide.geometry import tunnels_of
from emu.guide.realms import NODE, OUTSIDE
from emu.guide.scene import Card, Scene
from emu.guide.stage_places import Place, Places, Slot
from emu.guide.svg import ADDRESS, LABEL, LATENCY, MONO, NAME, PORT, PROCESS, SMALL, TINY, Rect, Sheet, number

NOTHING = Card()


def draw_node(sheet: Sheet, scene: Scene, places: Places, place: Place) -> None:
    """A node as its place demands, without what only finds its place after the legs."""
    if place.kind == "focus":
        _focus(sheet, scene, places, place)
    elif place.kind == "card":
        _context(sheet, scene, places, place)
    else:
        _plate(sheet, scene, place)


def card_of(scene: Scene, place: Place) -> Card:
    """What the card of a node says; nothing if the scene has none for it."""
    return scene.cards.get(place.node.name, NOTHING)


def own_address(scene: Scene, name: str) -> str:
    """A machine's address with its prefix length, as configured."""
    machine = scene.plan.by_name[name]
    return next(f"{a.address}/{a.prefix_length}" for a in machine.addresses if a.address == machine.address)


def _css(scene: Scene, base: str, *points: str) -> str:
    return f"{base} on" if any(point in scene.highlighted for point in points) else base


def _box(sheet: Sheet, scene: Scene, place: Place) -> None:
    css = "card answers" if card_of(scene, place).answers else "card"
    sheet.rect("cards", place.box, _css(scene, css, place.node.name), 10)


def _focus(sheet: Sheet, scene: Scene, places: Places, place: Place) -> None:
    m, box = places.measures, place.box
    _box(sheet, scene, place)
    top = m.netns if place.bridge else m.netns_bare
    a, b, low = box.left + 1.5, box.right - 1.5, box.bottom - 1.5
    curve = f"V{number(low - 9)}Q{number(b)} {number(low)} {number(b - 9)} {number(low)}H{number(a + 9)}"
    curve += f"Q{number(a)} {number(low)} {number(a)} {number(low - 9)}Z"
    sheet.path("cards", f"M{number(a)} {number(top)}H{number(b)}{curve}", "netns")
    _head(sheet, scene, places, place)
    is_left = m.is_wide or place.mirrored
    x = box.left + m.pad if is_left else box.right - m.pad
    anchor = "start" if is_left else "end"
    sheet.text("cards", x, box.bottom - (12 if m.is_wide else 8), "root netns", SMALL, "c-3", anchor)
    for slot in place.slots:
        sheet.take(slot.box)
        _slot(sheet, scene, place, slot)
    if place.bridge:
        _bridge(sheet, scene, places, place, place.bridge)
    for device in tunnels_of(scene, place.node):
        _tunnel(sheet, scene, place, device.name)
    _process(sheet, scene, places, place)
    _port(sheet, scene, place)


def _head(sheet: Sheet, scene: Scene, places: Places, place: Place) -> None:
    m, box, node = places.measures, place.box, place.node
    address = own_address(scene, node.name)
    if m.is_wide:
        left, right = box.left + m.pad, box.right - m.pad
        sheet.glyph("cards", realm_of(scene, node.name), left + 6, box.top + 20, 5)
        name = sheet.text("cards", left + 18, box.top + 26, node.name, NAME)
        style = sheet.fitting(address, right - name.right - 6, ADDRESS, MONO)
        sheet.text("cards", right, box.top + 26, address, style, own_css(scene, node.name), "end")
        sheet.text("cards", right, box.top + 46, node.mac, MONO, own_css(scene, node.name), "end")
        return
    left = box.left + m.pad
    sheet.glyph("cards", realm_of(scene, node.name), left + 5, box.top + 14, 4.5)
    sheet.text("cards", left + 15, box.top + 19, node.name, NAME)
    sheet.text("cards", left, box.top + 34, address, ADDRESS, own_css(scene, node.name))
    sheet.text("cards", left, box.top + 49, node.mac, ADDRESS, own_css(scene, node.name))


def _slot(sheet: Sheet, scene: Scene, place: Place, slot: Slot) -> None:
    box, named = slot.box, slot.container
    active = named is not None and (slot.is_full or named.name in card_of(scene, place).active)
    if place.bridge and not _is_blocked(scene, place, slot):
        sheet.path("inside", f"M{number(box.x)} {number(box.bottom)}V{number(place.bridge.top)}", "veth")
    css = "ctr" if active else "ctr dim"
    name = named.name if named else ""
    sheet.rect("inside", box, _css(scene, css, name, f"{name}:eth0") if name else css, 6)
    if named is None or not slot.is_full:
        words = name or f"+{slot.count}"
        style = sheet.fitting(words, box.width, SMALL, PORT)
        sheet.text("inside", box.x, box.y + 5, words, style, "" if active else "c-3", "middle")
        return
    container = named
    if sheet.layout == "narrow":
        sheet.glyph("inside", "pod", box.left + 11, box.top + 11, 4.1)
        sheet.text("inside", box.left + 20, box.top + 15, name, LABEL)
        sheet.text("inside", box.left + 8, box.top + 29, container.address, ADDRESS, "c-pod")
        sheet.text("inside", box.left + 8, box.top + 42, container.mac, TINY, "c-pod")
        return
    sheet.glyph("inside", "pod", box.left + 14, box.top + 15, 4.6)
    label = sheet.text("inside", box.left + 25, box.top + 20, name, LABEL)
    right = box.right - 8
    fits = right - sheet.width(container.address, MONO) > label.right + 4
    sheet.text("inside", right, box.top + (20 if fits else 37), container.address, MONO, "c-pod", "end")
    sheet.text("inside", right, box.top + (44 if fits else 54), container.mac, MONO, "c-pod", "end")


def _is_blocked(scene: Scene, place: Place, slot: Slot) -> bool:
    blocked = card_of(scene, place).blocked
    return bool(blocked and slot.container and slot.container.name == blocked[0])


def _bridge(sheet: Sheet, scene: Scene, places: Places, place: Place, bridge: Rect) -> None:
    m, node = places.measures, place.node
    sheet.take(bridge)
    if any(device.name == "eth0" and device.master for device in scene.plan.by_name[node.name].devices):
        sheet.path("inside", f"M{number(place.port.x)} {number(bridge.bottom)}V{number(place.port.top)}", "veth")
    sheet.rect("inside", bridge, _css(scene, "bridge", f"{node.name}:cbr0"), 5)
    for slot in place.slots:
        if _is_blocked(scene, place, slot):
            _blocked(sheet, slot.box, bridge, card_of(scene, place).blocked or ("", ""))
        elif scene.inside and slot.container and m.is_wide:
            base = (slot.box.bottom + bridge.top) / 2 + 5
            sheet.text("inside", slot.box.x + 8, base, f"veth-{slot.container.name}", PORT, "mono")
    base = bridge.y + (4.8 if m.is_wide else 4.2)
    addresses = [a for a in scene.plan.by_name[node.name].addresses if a.device == "cbr0" and a.address != node.address]
    if not m.is_wide:
        right = not place.mirrored
        x = bridge.right - 6 if right else bridge.left + 6
        sheet.text("words", x, base, "cbr0", LABEL, anchor="end" if right else "start")
        return
    sheet.text("words", bridge.left + 8, base, "cbr0", LABEL)
    for address in addresses[:1]:
        words = f"{address.address}/{address.prefix_length}"
        edge = 8 if sheet.width(words, MONO) < 88 else 4
        sheet.text("words", bridge.right - edge, base, words, MONO, "c-pod on-bar", "end")


def _blocked(sheet: Sheet, box: Rect, bridge: Rect, blocked: tuple[str, str]) -> None:
    """Two bars across a container's veth, with the words beside them."""
    x, y = box.x, (box.bottom + bridge.top) / 2
    first, second = y, y + 5
    sheet.path(
        "inside",
        f"M{number(x)} {number(box.bottom)}V{number(first)}M{number(x)} {number(second)}V{number(bridge.top)}",
        "veth",
    )
    sheet.path("words", f"M{number(x - 9)} {number(first)}h18M{number(x - 9)} {number(second)}h18", "block")
    sheet.take(Rect(x - 9, first - 2, x + 9, second + 2))
    sheet.text("words", x + 16, y + 6, blocked[1], SMALL, "c-2")


def _tunnel(sheet: Sheet, scene: Scene, place: Place, device: str) -> None:
    box = place.tunnels[device]
    sheet.rect("plates", box, _css(scene, "dev", f"{place.node.name}:{device}"), 6)
    sheet.take(box)
    if sheet.layout == "narrow":
        sheet.text("plates", box.x, box.y + 4, device, LABEL, anchor="middle")
        return
    sheet.text("plates", box.x, box.top + 18, device, LABEL, anchor="middle")
    for address in scene.plan.by_name[place.node.name].addresses:
        if address.device == device:
            words = f"{address.address}/{address.prefix_length}"
            sheet.text("plates", box.x, box.top + 35, words, MONO, "c-pod", "middle")


def _port(sheet: Sheet, scene: Scene, place: Place) -> None:
    box = place.port
    sheet.rect("plates", box, _css(scene, "port", f"{place.node.name}:eth0"), 3)
    sheet.take(box)
    low = 4.6 if sheet.layout == "wide" else 4
    sheet.text("plates", box.x, box.y + low, "eth0", PORT, anchor="middle")


def process_box(scene: Scene, places: Places, place: Place) -> Rect | None:
    """Where the program of a node stands: over its root namespace, or in the place of a container in play."""
    if not card_of(scene, place).process:
        return None
    m, box = places.measures, place.box
    if not place.bridge:
        high, top = (34, 62) if m.is_wide else (34, 60)  # narrow: two lines
        return Rect(box.left + m.pad, top, box.right - m.pad, top + high)
    row = Rect(box.left + m.pad, m.containers[0], box.left + m.pad + m.container_w, m.containers[1])
    return Rect(row.left, row.top + 4, row.right + 6, row.bottom - 4)


def _process(sheet: Sheet, scene: Scene, places: Places, place: Place) -> None:
    box = process_box(scene, places, place)
    if box is None:
        return
    sheet.take(box)
    sheet.rect("inside", box, "proc", min(17.0, box.height / 2))
    words = card_of(scene, place).process
    small = PROCESS if places.measures.is_wide else TINY
    style = sheet.fitting(max(words.split(), key=len), box.width - 8, MONO, small)
    lines = sheet.wrap(words, style, box.width - 8)
    base = box.y + sheet.size(style) * 0.36 - (len(lines) - 1) * sheet.line(style) / 2
    for index, line in enumerate(lines):
        sheet.text("inside", box.x, base + index * sheet.line(style), line, style, anchor="middle")


def context_height(sheet: Sheet, scene: Scene, places: Places, place: Place) -> float:
    """How high a card of the lower row must be for its note."""
    m = places.measures
    lines = _note_lines(sheet, scene, places, place)
    more = 0 if _fits_beside_mac(sheet, places, place, lines) else len(lines)
    return m.bottom[1] - m.bottom[0] + more * sheet.line(SMALL)


def _fits_beside_mac(sheet: Sheet, places: Places, place: Place, lines: list[tuple[str, str]]) -> bool:
    if not places.measures.is_wide or len(lines) > 1:
        return False
    room = place.box.width - 2 * places.measures.pad - sheet.width(place.node.mac, MONO) - 8
    return all(sheet.width(words, SMALL) <= room for words, _ in lines)


def _note_lines(sheet: Sheet, scene: Scene, places: Places, place: Place) -> list[tuple[str, str]]:
    """What a card of the lower row says about the frame: lines with their CSS classes."""
    card, width = card_of(scene, place), place.box.width - 2 * places.measures.pad
    told = ((card.pill, "c-node strong"), (card.note, "c-3"))
    return [(line, css) for words, css in told for line in sheet.wrap(words, SMALL, width)]


def _context(sheet: Sheet, scene: Scene, places: Places, place: Place) -> None:
    m, box, node = places.measures, place.box, place.node
    _box(sheet, scene, place)
    address = own_address(scene, node.name)
    left, right = box.left + m.pad, box.right - m.pad
    lines = _note_lines(sheet, scene, places, place)
    if m.is_wide:
        sheet.glyph("cards", realm_of(scene, node.name), left + 6, box.top + 27, 5)
        name = sheet.text("cards", left + 18, box.top + 33, node.name, NAME)
        style = sheet.fitting(address, right - name.right - 6, ADDRESS, MONO)
        sheet.text("cards", right, box.top + 33, address, style, own_css(scene, node.name), "end")
        sheet.text("cards", right, box.top + 54, node.mac, MONO, own_css(scene, node.name), "end")
        base = box.top + 54 + (0 if _fits_beside_mac(sheet, places, place, lines) else sheet.line(SMALL))
    else:
        sheet.glyph("cards", realm_of(scene, node.name), left + 5, box.top + 20, 4.5)
        sheet.text("cards", left + 15, box.top + 25, node.name, NAME)
        sheet.text("cards", left, box.top + 39, address, ADDRESS, own_css(scene, node.name))
        base = box.top + 39 + sheet.line(SMALL)
    for index, (line, css) in enumerate(lines):
        sheet.text("cards", left, base + index * sheet.line(SMALL), line, SMALL, css)
    _port(sheet, scene, place)


def plate_lines(sheet: Sheet, scene: Scene, place: Place) -> list[str]:
    """What stands under the name on a plate: what the node made of the frame."""
    card = card_of(scene, place)
    return [line for words in (card.pill, card.note) for line in sheet.wrap(words, PORT, place.box.width - 8)]


def arrivals(scene: Scene, name: str) -> str:
    """The measured time of the broadcast that arrives at a plate."""
    ends = {leg.points[-1].partition(":")[0]: leg.label for leg in scene.legs if leg.style == "broadcast"}
    return ends.get(name, "")


def plate_height(sheet: Sheet, scene: Scene, place: Place) -> float:
    """How high a plate must be for what stands on it."""
    time = sheet.line(LATENCY) if arrivals(scene, place.node.name) else 0
    return 30 + time + len(plate_lines(sheet, scene, place)) * sheet.line(PORT)


def _plate(sheet: Sheet, scene: Scene, place: Place) -> None:
    box, name = place.box, place.node.name
    css = "card plate answers" if card_of(scene, place).answers else "card plate"
    sheet.rect("plates", box, _css(scene, css, name, f"{name}:eth0"), 6)
    sheet.take(box)
    base = box.top + 20
    sheet.text("plates", box.x, base, name, SMALL, f"{own_css(scene, place.node.name)} strong".strip(), "middle")
    time = arrivals(scene, name)
    if time:
        base += sheet.line(LATENCY)
        sheet.text("plates", box.x, base, time, LATENCY, "on-plate", "middle")
    for line in plate_lines(sheet, scene, place):
        base += sheet.line(PORT)
        sheet.text("plates", box.x, base, line, PORT, "c-3", "middle")


def realm_of(scene: Scene, name: str) -> str:
    """Whose a machine's own address is."""
    return NODE if scene.plan.by_name[name].kind == "node" else OUTSIDE


def own_css(scene: Scene, name: str) -> str:
    """How a machine's own address, or its name, is coloured."""
    return "c-node" if realm_of(scene, name) == NODE else ""
