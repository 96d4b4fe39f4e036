"""``python -m gateway.cli`` is ``e2i-gateway``."""

import sys

from gateway.cli.command_line import main

sys.exit(main())
