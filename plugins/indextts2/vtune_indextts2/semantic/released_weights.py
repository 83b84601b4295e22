"""Load w2v-BERT 2.0 from its transformers files, and IndexTTS2's statistics of its features, float32 ``[H]``."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel
from transformers.utils import logging as transformers_logging

from vtune import EngineError
from vtune.errors import in_a_line
from vtune.toolkit import load_pretrained, read_tensors
from vtune_indextts2 import state_dicts

MODEL_TYPE = "wav2vec2-bert"
FILTER_BANK = {"num_mel_bins": 80, "stride": 2, "sampling_rate": 16_000}
"""Settings of the feature extractor that the network was trained with."""

_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")


def read_config(checkpoint: str, layers: int) -> Any:
    """Read a ``Wav2Vec2BertConfig`` for the first ``layers`` of a checkpoint.

    :param checkpoint: folder or Hub id.
    :raises EngineError: the checkpoint is not available, is another model, or has fewer layers.
    """
    if not Path(checkpoint).is_dir() and (checkpoint.count("/") != 1 or checkpoint.startswith((".", "/", "~"))):
        raise EngineError(f"w2v-BERT: there is no folder {checkpoint!r}, and the name is not a Hub id")
    with _readable(f"{checkpoint}: config.json"):
        content, _ = PreTrainedConfig.get_config_dict(checkpoint)
        if content.get("model_type") != MODEL_TYPE:
            kind = content.get("model_type", "nothing")
            raise EngineError(f"{checkpoint} is not w2v-BERT: its config.json says {kind}, should say {MODEL_TYPE}")
        config = Wav2Vec2BertConfig.from_dict(content)
    if not 1 <= layers <= config.num_hidden_layers:
        raise EngineError(f"{checkpoint} has {config.num_hidden_layers} layers, {layers} are needed")
    config.num_hidden_layers = layers
    config.mask_time_prob = config.mask_feature_prob = 0.0  # no masking, so no vector to mask with
    config.add_adapter = False  # the tensors of a checkpoint that has one are then named as unexpected
    return config


def read_model(checkpoint: str, config: Any) -> Any:
    """Load the part of a ``Wav2Vec2BertModel`` that ``config`` describes, in float32; the rest is not read.

    :raises EngineError: tensors are missing, of another shape, or too many.
    """
    with _readable(f"{checkpoint}: the network"):
        model, report = load_pretrained(
            Wav2Vec2BertModel,
            checkpoint,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,  # of which only what is wanted is read, and nothing is executed
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported; without this there is an error that names none
        )
    _require_whole(report, checkpoint, config.num_hidden_layers)
    return model


def read_extractor(checkpoint: str) -> Any:
    """Make the ``SeamlessM4TFeatureExtractor`` that pads as a checkpoint's ``preprocessor_config.json`` says.

    :raises EngineError: there is none, it pads with no number, or describes another filter bank.
    """
    where = f"{checkpoint}: preprocessor_config.json"
    with _readable(where):
        content, _ = SeamlessM4TFeatureExtractor.get_feature_extractor_dict(checkpoint)
        settings = {name: content.get(name, default) for name, default in FILTER_BANK.items()}
        padding = content.get("padding_value", 0.0)  # what transformers makes of a file that leaves it out
    if settings != FILTER_BANK:
        raise EngineError(f"{where} says {settings}, w2v-BERT takes {FILTER_BANK}")
    if not isinstance(padding, (int, float)) or not math.isfinite(padding):
        raise EngineError(f"{where} says padding_value {padding!r}, should be a number")
    return SeamlessM4TFeatureExtractor(padding_value=padding, **FILTER_BANK)


def read_statistics(path: Path, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Read ``mean`` and ``var``, float32 ``[width]``, from ``wav2vec2bert_stats.pt``.

    :raises EngineError: the file is missing, holds something else, or has a variance that nothing can be divided by.
    """
    if not path.is_file():
        raise EngineError(f"there is no file {path} with the mean and variance of w2v-BERT's features")
    tensors = state_dicts.flatten_state_dict(read_tensors(path), path)
    if tensors.keys() != {"mean", "var"}:
        raise EngineError(f"{path} holds {_some(tensors) or 'nothing'} where mean and var should be")
    mean, var = tensors["mean"].float(), tensors["var"].float()
    for name, tensor in (("mean", mean), ("var", var)):
        if tensor.shape != (width,):
            raise EngineError(f"{path}: {name} is {list(tensor.shape)}, the features are {[width]}")
    if not (mean.isfinite().all() and var.isfinite().all() and (var > 0).all()):
        raise EngineError(f"{path}: mean or var is not finite, or var not above 0")
    return mean, var


def _require_whole(report: dict[str, Any], checkpoint: str, layers: int) -> None:
    differences = {
        "missing": report["missing_keys"],
        "unexpected": [name for name in report["unexpected_keys"] if not _is_unused(name, layers)],
        "of another shape": [
            f"{name} is {list(theirs)}, should be {list(ours)}" for name, theirs, ours in report["mismatched_keys"]
        ],
    }
    problems = [f"{len(names)} {kind}: {_some(names)}" for kind, names in differences.items() if names]
    if problems:
        raise EngineError(f"{checkpoint} does not hold {layers} layers of w2v-BERT: {'; '.join(problems)}")


def _some(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[: state_dicts.MAX_LISTED_KINDS]) + (
        ", ..." if len(names) > state_dicts.MAX_LISTED_KINDS else ""
    )


def _is_unused(name: str, layers: int) -> bool:
    layer = _LAYER.match(name)
    return name == "masked_spec_embed" if layer is None else int(layer[1]) >= layers


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Turn what transformers raises into one line, and hush its bar and its table of layers that were left out."""
    level, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # transformers trusts these files: what a wrong one leads to can be any error
        reason = in_a_line(error)[:160]
        raise EngineError(f"{what} cannot be read as w2v-BERT's: {reason}") from error
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()
