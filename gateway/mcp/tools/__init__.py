"""The tools, one module each; ``registry`` lists them in the order in which they are told."""
