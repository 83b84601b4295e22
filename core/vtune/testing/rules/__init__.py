"""The rules of the conformance kit, by what they are about; causes come before what follows from them."""

from vtune.testing.rules import (
    adapter,
    batches,
    clips,
    conditioning,
    describe,
    files,
    loading,
    network,
    options,
    process,
    speech,
    training,
)

GROUPS = (
    describe, loading, network, clips, batches, adapter, conditioning, speech, files, options, process, training,
)  # fmt: skip
"""The modules of the rules, in the order in which the rules are checked."""

__all__ = ["GROUPS"]
