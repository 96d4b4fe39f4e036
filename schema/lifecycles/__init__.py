"""What is particular to a group's lifecycles: effects, checks, and mutations that are more than a move."""

from schema.lifecycles import composer, deployments, models, monitoring, prompts, reviews, studies, twins

__all__ = ["composer", "deployments", "models", "monitoring", "prompts", "reviews", "studies", "twins"]
