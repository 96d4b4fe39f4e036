"""Where agents ask, and where they learn what they need for it."""

from __future__ import annotations

PATH = "/mcp"
METADATA = "/.well-known/oauth-protected-resource"
"""Where RFC 9728 has the metadata of a resource, with the resource's path behind it."""
