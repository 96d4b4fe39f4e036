"""What is particular to a group's lifecycles: effects, checks, and mutations that are more than a move."""

from schema.changes.effects import composer, counters, deployments, models, monitoring, prompts, reviews, studies, twins

__all__ = ["composer", "counters", "deployments", "models", "monitoring", "prompts", "reviews", "studies", "twins"]
