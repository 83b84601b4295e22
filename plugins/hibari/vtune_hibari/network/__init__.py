"""The network of a hibari voice, in torch."""
