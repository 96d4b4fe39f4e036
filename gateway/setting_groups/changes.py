"""Changes, and rows that are recorded."""

from __future__ import annotations

from pydantic import Field

from gateway.setting_groups.group import SettingGroup


class ChangeSettings(SettingGroup):
    """Changes, and rows that are recorded."""

    turn_timeout: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds that a change waits for its turn when many are made at once."
    )
    idempotency_hours: float = Field(
        default=24.0, gt=0, le=24 * 365, description="Hours for which an idempotency key gives the same result again."
    )
    max_recorded_values: int = Field(
        default=60_000, ge=10, description="Maximum values in the variables of a request that records rows."
    )
    max_lines_bytes: int = Field(
        default=10_000_000, ge=1_000, description="Maximum bytes of rows sent as ndjson, after decompression."
    )
    max_line_batches: int = Field(
        default=4,
        ge=1,
        description="Batches of ndjson that a worker reads and records at once; others wait.",
    )
