"""What a training needs of a machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one training needs of a machine, estimated before any weight is loaded; ``vtune plan`` prints it.

    :param parameters: of the network that the adapter sits on.
    :param trainable: trainable parameters with the given LoRA settings; ``tensors`` is their number of tensors.
    :param tokens_per_second: tokens of one second of sound.
    :param tokens_per_clip: average number of the other tokens of a clip: prompt, text, end tokens.
    :param weight_bytes: of the loaded network, with the given dtype or quantisation.
    :param token_bytes: memory that forward and backward hold for one token of a batch.
    :param token_bytes_checkpointed: the same with gradient checkpointing.
    :param token_flops: floating-point operations to train on one token.
    :param pass_bytes: memory that each pass needs whatever its length, such as for the logits of a few positions.
    :param codec_bytes: of the networks that encode and decode sound, beside the network that is trained.
    :param encoding_second_bytes: memory that encoding holds for one second of a clip.
    :param listening_bytes: of networks that encode clips and are freed before training; extracting a voice's
        conditioning needs them too.
    :param speaking_bytes: memory that speaking needs beside the weights: caches, the sound that is decoded, and
        networks that only speaking needs.
    :param largest_bytes: of the largest weight of a layer, as it is loaded; ``tensor_bytes`` of the largest of all.
    :param gathered_bytes: of the weights that are whole at a time while a divided network computes: two repeated
        blocks, and everything outside of them; 0 if unknown, and then the whole network is counted.
    :param part_parameters: of the parts that ``training_parts`` names, all together.
    :param longest_seconds: of a clip that the engine takes; None if the engine has no limit.
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
    gathered_bytes: float = 0
    part_parameters: int = 0
