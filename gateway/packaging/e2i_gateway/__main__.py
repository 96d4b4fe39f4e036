"""``python -m e2i_gateway``: the command."""

from __future__ import annotations

import sys

from e2i_gateway import main

sys.exit(main())
