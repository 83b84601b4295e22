"""What a training needs of a machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one training asks of a machine, known before any weight is loaded; ``vtune plan`` prints it.

    :param parameters: of the network that the adapter sits on.
    :param trainable: with the settings asked about; ``tensors`` is how many tensors they are.
    :param tokens_per_second: of sound.
    :param tokens_per_clip: beside the sound: prompt, words, ends; an average.
    :param weight_bytes: of the loaded network, at the asked dtype or quantisation.
    :param token_bytes: memory that forward and backward hold for one token of a batch.
    :param token_bytes_checkpointed: the same with gradient checkpointing.
    :param token_flops: floating-point operations to train on one token.
    :param pass_bytes: memory that a pass takes whatever its length, such as for a few places' logits.
    :param codec_bytes: of the networks that encode and decode sound, beside the one that is trained.
    :param encoding_second_bytes: memory that encoding holds for one second of a clip.
    :param listening_bytes: of networks that encode clips and are let go before training; a voice's conditioning is
        made with them too.
    :param speaking_bytes: memory that speaking takes beside the weights: caches, sound being decoded, and networks that
        nothing else needs.
    :param largest_bytes: of the largest weight of a layer, as it is loaded; ``tensor_bytes`` of the largest of all.
    :param longest_seconds: of a clip that the engine takes; None where it does not say.
    """

    parameters: int
    trainable: int
    tensors: int
    tokens_per_second: float
    tokens_per_clip: float
    weight_bytes: int
    token_bytes: float
    token_bytes_checkpointed: float
    token_flops: float
    pass_bytes: float = 0
    longest_seconds: float | None = None
    codec_bytes: float = 0
    encoding_second_bytes: float = 0
    listening_bytes: float = 0
    speaking_bytes: float = 0
    largest_bytes: float = 0
    tensor_bytes: float = 0
