"""Whether Postgres reads a whole table although an index has the rows of a filter: where the pages that hold them cost
more than all pages one after the other.

The formulas and constants are those of the planner (``cost_index``, ``cost_bitmap_heap_scan``), with its default
settings; its unit is a page that is read in sequence.
"""

from __future__ import annotations

import math

RANDOM = 4.0
"""A page that is read by itself."""
ROW = 0.0125
"""A row that is compared with a filter."""
WORKERS = 2.4
"""Processes among which the rows of a large table's scan are divided."""
EXACT = 58_000
"""Pages of which a bitmap within ``work_mem`` knows the rows; of others all rows are compared."""
FEW_PAGES = 1_000
"""Pages up to which a whole table is read in milliseconds."""


def is_whole(pages: int, rows: int, left: int, correlation: float) -> bool:
    """Whether reading ``left`` of a table's ``rows`` by an index costs more than reading all ``pages``.

    ``correlation``, -1 to 1, is that of the index's order with the order of the rows.
    """
    if pages <= FEW_PAGES or left <= 0:
        return False
    share = min(1.0, left / max(rows, 1))
    scattered = min(float(pages), 2 * pages * left / (2 * pages + left))
    together = max(1.0, share * pages)
    apart = scattered * RANDOM
    by_index = apart + correlation**2 * (together - apart) + left * ROW
    a_page = RANDOM - (RANDOM - 1) * math.sqrt(scattered / pages)
    compared = float(left)
    if scattered > EXACT:
        lossy = (scattered - EXACT / 2) / scattered
        compared = share * (1 - lossy) * rows + lossy * rows
    by_bitmap = scattered * a_page + compared * ROW
    return min(by_index, by_bitmap) > pages + rows * ROW / WORKERS
