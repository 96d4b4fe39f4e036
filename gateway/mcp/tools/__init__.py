"""The tools, one module each; ``registry`` lists them in their public order."""
