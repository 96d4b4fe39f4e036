"""The grade of a predicted effect, as SQL over the predicted and the actual effect.

It follows the rule of ``grade_effect`` in ``db/sql`` without requiring a function of the connected database. Databases
that the gateway has not created may store other grades.
"""

from __future__ import annotations

GRADES = ("excellent", "good", "fair", "poor")

_LARGEST = "double precision '1.7976931348623157e308'"


def grade_of(predicted: str, actual: str) -> str:
    """SQL of the grade of ``predicted`` against ``actual``, both double precision.

    It is one of `GRADES`, or NULL unless both are finite. Products of numerics are compared, not quotients of floats,
    so that a value on a limit is graded exactly.
    """
    return (
        "(SELECT CASE WHEN g.error = 0 OR g.error < 0.10 * g.size THEN 'excellent' "
        "WHEN g.error < 0.20 * g.size THEN 'good' WHEN g.error <= 0.35 * g.size THEN 'fair' "
        "WHEN g.error IS NOT NULL THEN 'poor' END "
        "FROM (SELECT abs(n.predicted - n.actual) AS error, "
        "abs(CASE WHEN n.actual = 0 THEN n.predicted ELSE n.actual END) AS size "
        f"FROM (SELECT {_as_written(predicted)} AS predicted, {_as_written(actual)} AS actual) AS n) AS g)"
    )


def _as_written(value: str) -> str:
    return f"CASE WHEN {value} BETWEEN -{_LARGEST} AND {_LARGEST} THEN {value}::text::numeric END"
