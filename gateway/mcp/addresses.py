"""Paths of the MCP endpoint and of its OAuth metadata."""

from __future__ import annotations

PATH = "/mcp"
METADATA = "/.well-known/oauth-protected-resource"
"""The well-known path of a resource's metadata (RFC 9728), before the resource's own path."""
