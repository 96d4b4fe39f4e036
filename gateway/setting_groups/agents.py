"""Agents, and the service of embeddings that texts are searched by."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.setting_groups.group import SettingGroup
from gateway.setting_types import checked_url, is_loopback


class AgentSettings(SettingGroup):
    """Agents, and the service of embeddings that texts are searched by."""

    mcp: Literal["off", "read", "change"] = Field(
        default="read",
        description="What agents may do by the Model Context Protocol, at /mcp and by `e2i-gateway mcp`: with `change` "
        "they preview changes, and apply those that a person confirms.",
    )
    mcp_url: Annotated[str, AfterValidator(checked_url)] | None = Field(
        default=None,
        description="URL of /mcp as clients know it, `https://e2i.example/mcp`; JWTs must name it in `aud` there. "
        "Unset: the name that a request gives the server, and `aud` as everywhere.",
    )
    mcp_token: SecretStr | None = Field(
        default=None, description="Service token or JWT of the caller of `e2i-gateway mcp`, over stdio."
    )
    embeddings_url: Annotated[str, AfterValidator(checked_url)] | None = Field(
        default=None,
        description="Service that makes vectors of texts, compatible with OpenAI's API: `https://api.openai.com/v1`. "
        "Texts that are searched by, and three stored ones at start, are sent to it. Unset: no search by text.",
    )
    embeddings_model: str | None = Field(default=None, description="Its model: the one that made the stored vectors.")
    embeddings_key: SecretStr | None = Field(default=None, description="Its key, sent as a bearer token.")
    embeddings_dimensions: int | None = Field(
        default=None,
        ge=1,
        le=16_000,
        description="Dimensions of the vectors, for models that take this parameter. Unset: not sent.",
    )
    embeddings_timeout: float = Field(default=5.0, gt=0, le=60, description="Seconds that it may take.")

    @model_validator(mode="after")
    def _names_its_model(self) -> Self:
        if self.embeddings_url and not self.embeddings_model:
            raise ValueError("GATEWAY_EMBEDDINGS_MODEL: name the model that the stored vectors were made by")
        return self

    @model_validator(mode="after")
    def _keeps_its_key(self) -> Self:
        url = urlsplit(self.embeddings_url or "")
        if self.embeddings_key and url.scheme == "http" and not is_loopback(url.hostname or ""):
            raise ValueError("GATEWAY_EMBEDDINGS_URL: a key is sent only by https:// or to this machine")
        return self
