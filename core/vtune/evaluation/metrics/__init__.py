"""The metrics that vtune brings, one module each, and the registry that finds them."""
