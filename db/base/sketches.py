"""Sketches of distributions: the numbers of values in buckets of logarithmic width, from which percentiles follow.

They are those of DDSketch (Masson, Rim and Lee, VLDB 2019): bucket ``i`` has the values of ``(g ** (i - 1), g ** i]``
and stands for the one whose relative distance to both ends is least. Sketches add up bucket by bucket, without loss.
"""

from __future__ import annotations

from math import log

RELATIVE_ERROR = 0.01
"""The largest relative error of a value that is read off its bucket."""
_LEAST, _GREATEST = 1e-300, 1.79e308
"""Values nearer to zero are zero; values further off have the bucket of this one."""
_GAMMA = (1 + 0.99 * RELATIVE_ERROR) / (1 - 0.99 * RELATIVE_ERROR)  # a little narrower: logarithms are rounded
_WIDTH, _MIDDLE = log(_GAMMA), log(2 / (1 + _GAMMA))
_ONE = 40_000
"""The bucket that ends with 1; those of positive values are positive."""
_INFINITE, _NAN = 100_000, 100_001


def _number(value: float) -> str:
    """SQL of a double precision: a bare constant would be a numeric, and so would what is computed with it."""
    return f"'{value!r}'::float8"


def bucket(value: str) -> str:
    """SQL of the bucket, an integer, of a double precision; buckets have the order of their values, NaN last."""
    size = f"least(ln(abs({value})) / {_number(_WIDTH)}, {_number(log(_GREATEST) / _WIDTH)})"
    return (
        f"CASE WHEN abs({value}) < {_number(_LEAST)} THEN 0 "
        f"WHEN {value} = 'NaN' THEN {_NAN} "
        f"WHEN abs({value}) = 'Infinity' THEN sign({value})::int * {_INFINITE} "
        f"ELSE sign({value})::int * ({_ONE} + ceil({size})::int) END"
    )


def value(bucket: str) -> str:
    """SQL of the value, a double precision, that a bucket stands for."""
    size = f"(abs({bucket}) - {_ONE}) * {_number(_WIDTH)} + {_number(_MIDDLE)}"
    return (
        f"CASE WHEN {bucket} = 0 THEN 0 WHEN {bucket} = {_NAN} THEN 'NaN' "
        f"WHEN abs({bucket}) = {_INFINITE} THEN sign({bucket}) * 'Infinity' "
        f"ELSE sign({bucket}) * exp(least({size}, {_number(log(_GREATEST))})) END"
    )
