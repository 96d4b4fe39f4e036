"""Documents: which are executed, and what the schema tells of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from gateway.setting_groups.group import SettingGroup


class DocumentSettings(SettingGroup):
    """Documents: which are executed, and what the schema tells of itself."""

    trusted_documents: Literal["off", "prefer", "only"] = Field(
        default="off", description="`only`: other documents are refused; `prefer`: their cost limit is lower."
    )
    trusted_documents_path: Path | None = Field(
        default=None, description="File (JSON of ids and documents) or folder (`*.graphql`) of trusted documents."
    )
    trusted_documents_table: bool = Field(
        default=False,
        description="Whether trusted documents are in the database too, as `e2i-gateway documents` adds them.",
    )
    trusted_documents_console: bool = Field(
        default=True, description="Whether the console's own documents are trusted too, so that its pages work."
    )
    max_untrusted_cost: int = Field(
        default=100_000, ge=1, description="Cost limit of other documents with `prefer`, in rows."
    )
    persisted_queries: bool = Field(
        default=True, description="Whether clients may register documents and then send their hashes alone."
    )
    introspection: bool = Field(
        default=True, description="Whether introspection is allowed, and errors suggest names of the schema."
    )
    federation: bool = Field(
        default=False,
        description="Whether the graph is a subgraph of Apollo Federation 2, with `_entities` and `_service`.",
    )
    compiler: bool = Field(
        default=True,
        description="Whether operations are compiled into one statement where possible; off: loaders answer all.",
    )
    closed_vocabularies: bool = Field(
        default=True,
        description="Whether filters refuse texts that a column cannot have by its closed vocabulary; `off` for "
        "databases with words of their own.",
    )
