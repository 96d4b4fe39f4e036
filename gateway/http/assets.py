"""The built files of the pages: kept by browsers as long as their names say, compressed once for all who ask."""

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
"""Bytes below which a file is sent as it is."""
_PACKED = frozenset({".woff", ".woff2", ".png"})
"""What is compressed already."""


class Assets(StaticFiles):
    """Built assets: those with a hash in their name never change, everything else is asked for again."""

    def __init__(self, directory: Path, headers: Mapping[str, str]) -> None:
        """``headers`` are sent with each file."""
        super().__init__(directory=directory)
        self._headers = headers
        self._compressed: dict[str, tuple[str, bytes]] = {}
        """By file: its tag when it was read, and its bytes as gzip. Of files that are there, so no more than those."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if isinstance(response, FileResponse):
            response = await self._as_welcome(response, scope)
        lasting = "/assets/" in f"/{path}"
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        response.headers.update(self._headers)
        response.headers.add_vary_header("accept-encoding")
        return response

    async def _as_welcome(self, file: FileResponse, scope: Scope) -> Response:
        """The file compressed, if that is welcome and of use; a part of it, or its head alone, is not."""
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
        # weak, since other bytes have the strong one: a part of the file is not to be added to a compressed one
        return Response(known[1], headers=kept | {"etag": f"W/{tag}", "content-encoding": "gzip"})


def _packed(path: Path) -> bytes:
    """A file as gzip; nothing if that is not worth it."""
    content = path.read_bytes()
    return gzip.compress(content, mtime=0) if len(content) >= LEAST else b""
