"""Ids that are made for rows that bring none: random ones, or such as are the same whenever they are asked for."""

from __future__ import annotations

import hashlib
import os


def random_ids(count: int) -> list[str]:
    """Ids of version 4."""
    digits = os.urandom(16 * count).hex()
    return [_uuid(digits[at : at + 32], "4") for at in range(0, 32 * count, 32)]


def derived_ids(seed: str, count: int) -> list[str]:
    """Ids of version 8 that are the same for the same seed."""
    begun = hashlib.sha256(seed.encode())
    made = []
    for place in range(count):
        one = begun.copy()
        one.update(b"/%d" % place)
        made.append(_uuid(one.hexdigest()[:32], "8"))
    return made


def _uuid(digits: str, version: str) -> str:
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
