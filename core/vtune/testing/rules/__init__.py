"""The rules of the conformance kit, by what they are about; causes come before what follows from them."""

from vtune.testing.rules import (
    adapter,
    batches,
    clips,
    conditioning,
    describe,
    exports,
    files,
    heard,
    loading,
    losses,
    network,
    options,
    process,
    sound,
    speech,
    streaming,
    targets,
    training,
)

GROUPS = (
    describe, loading, network, clips, batches, losses, targets, adapter, conditioning, sound, speech, heard,
    streaming, files, options, process, training, exports,
)  # fmt: skip
"""The modules of the rules, in the order in which the rules are checked."""

__all__ = ["GROUPS"]
