"""The built files of the pages: cached by browsers for as long as their names are valid, compressed once."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gateway.http.response import encoding

LEAST = 500
"""Bytes below which a file is not compressed."""
_PACKED = frozenset({".woff", ".woff2", ".png"})
"""Suffixes of files that are compressed already."""


class Assets(StaticFiles):
    """Built assets: those with a hash in their name are immutable, others are revalidated."""

    def __init__(self, directory: Path, headers: Mapping[str, str]) -> None:
        """``headers`` are sent with each file."""
        super().__init__(directory=directory)
        self._headers = headers
        self._compressed: dict[str, tuple[str, bytes]] = {}
        """By file: its tag when it was read, and its gzip bytes. Only existing files have an entry."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if isinstance(response, FileResponse):
            response = await self._in_accepted_encoding(response, scope)
        lasting = "/assets/" in f"/{path}"
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        response.headers.update(self._headers)
        response.headers.add_vary_header("accept-encoding")
        return response

    async def _in_accepted_encoding(self, file: FileResponse, scope: Scope) -> Response:
        """The file compressed, if the client accepts gzip and it is smaller; never for ranges or HEAD."""
        asked = Headers(scope=scope)
        path, tag = Path(file.path), file.headers["etag"]
        if scope["method"] != "GET" or "range" in asked or path.suffix in _PACKED:
            return file
        if encoding(asked.get("accept-encoding", "").encode("latin-1")) != "gzip":
            return file
        known = self._compressed.get(str(path))
        if known is None or known[0] != tag:
            known = tag, await asyncio.to_thread(_packed, path)
            self._compressed[str(path)] = known
        if not known[1]:
            return file
        kept = {name: file.headers[name] for name in ("content-type", "last-modified")}
        # weak, since the identity has the strong one: a range of the file must not be combined with gzip bytes
        return Response(known[1], headers=kept | {"etag": f"W/{tag}", "content-encoding": "gzip"})


def _packed(path: Path) -> bytes:
    """A file as gzip; empty if that is not smaller."""
    content = path.read_bytes()
    return gzip.compress(content, mtime=0) if len(content) >= LEAST else b""
