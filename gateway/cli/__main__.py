"""``python -m gateway.cli`` is ``e2i-gateway``."""

import sys

from gateway.cli import main

sys.exit(main())
