"""Keys for labs: Curve25519 key pairs that follow from a seed (RFC 7748), for WireGuard. They protect nothing."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

_PRIME = 2**255 - 19
_A24 = 121_665
_BASE = 9


def x25519(scalar: bytes, point: int = _BASE) -> bytes:
    """The function X25519 (RFC 7748, section 5): ``scalar`` of 32 bytes times a point's u-coordinate, 32 bytes."""
    number = _clamped(scalar)
    x2, z2, x3, z3, swapped = 1, 0, point, 1, 0
    for bit in range(254, -1, -1):
        this = number >> bit & 1
        if swapped ^ this:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swapped = this
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % _PRIME, b * b % _PRIME, d * a % _PRIME, c * b % _PRIME
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % _PRIME, point * (da - cb) ** 2 % _PRIME
        x2, z2 = aa * bb % _PRIME, e * (aa + _A24 * e) % _PRIME
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, _PRIME - 2, _PRIME) % _PRIME).to_bytes(32, "little")


def _clamped(scalar: bytes) -> int:
    """RFC 7748, section 5, decodeScalar25519."""
    number = int.from_bytes(scalar, "little")
    return number & ~7 & (2**254 - 1) | 2**254


@cache
def pair(seed: int, name: str) -> tuple[str, str]:
    """The private and the public key of a machine in a lab of a seed, as WireGuard writes them."""
    private = hashlib.sha256(f"kubenet-emu, lab only: seed {seed}, {name}".encode()).digest()
    return base64.b64encode(private).decode(), base64.b64encode(x25519(private)).decode()
