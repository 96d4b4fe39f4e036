"""What groups of settings share: their prefix, and where they are read."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "GATEWAY_"
"""The prefix of all variables except HOST, PORT, DATABASE_URL and REDIS_URL."""


class SettingGroup(BaseSettings):
    """Settings of one subject, from the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)
