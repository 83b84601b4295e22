"""The version of vtune, which voices, cards and servers name."""

VTUNE_VERSION = "0.1.0"
