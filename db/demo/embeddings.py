"""Embeddings that resemble those of a language model: texts of one topic are similar to each other."""

from __future__ import annotations

from functools import cache
from random import Random

DIMENSIONS = 1536
TOPICS = ("causal", "segmentation", "gap", "experiment", "prediction", "monitoring", "roi", "cohort")


@cache
def _centre(topic: str) -> tuple[float, ...]:
    # a generator of its own, so that the centre of a topic does not depend on earlier random numbers
    direction = Random(f"topic {topic}")  # noqa: S311 - reproducible, not secret
    return tuple(direction.gauss(0, 1) for _ in range(DIMENSIONS))


def embedding(rng: Random, topic: str, spread: float = 0.6) -> list[float]:
    """A unit vector near the centre of its topic.

    Two vectors of one topic have a cosine similarity of about ``1 / (1 + spread ** 2 / 3)``, others of about 0.
    """
    uniform = rng.uniform
    values = [middle + uniform(-spread, spread) for middle in _centre(topic)]
    length = sum(value * value for value in values) ** 0.5
    return [round(value / length, 5) for value in values]
