"""The version of vtune, as voices, cards and servers name it."""

VTUNE_VERSION = "0.1.0"
