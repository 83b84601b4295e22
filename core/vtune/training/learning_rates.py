"""``train.learning_rates``: which trained tensor has a learning rate of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from vtune.errors import TrainingError, nearest, shown
from vtune.toolkit.target_patterns import match_patterns

KEY = "train.learning_rates"


def own_rates(
    rates: Mapping[str, float], tensors: Mapping[str, bool], of_parts: Mapping[str, float], default: float
) -> dict[str, float]:
    """Return the learning rate of each tensor that the recipe's optimizer steps with a rate of its own.

    :param rates: ``train.learning_rates``.
    :param tensors: names of the trained tensors, and whether the recipe's optimizer steps them; those of a part begin
        with its name.
    :param of_parts: the rate of each part.
    :param default: the recipe's rate for everything else.
    :raises TrainingError: see ``tensor_rates``; or a pattern gives a rate to tensors of a further optimizer; or
        the rate of a part is 0.
    """
    chosen = tensor_rates(rates, list(tensors), of_parts)
    for name, is_main in tensors.items():
        part = name.partition(".")[0]
        rate = chosen.get(name, of_parts.get(part, default))
        if not is_main and rate != of_parts[part]:
            raise TrainingError(
                f"{KEY}: a pattern gives {name} the rate {rate:g}, but the engine's own optimizer steps this tensor; "
                f"give a rate to the part {part!r}"
            )
        if rate == 0 and part in of_parts:
            raise TrainingError(
                f"{KEY}: 0 would freeze {name}, but a part is there to learn; give {part!r} a rate above 0"
            )
        chosen[name] = rate
    return {name: rate for name, rate in chosen.items() if tensors[name] and rate != default}


def tensor_rates(rates: Mapping[str, float], tensors: Sequence[str], parts: Iterable[str]) -> dict[str, float]:
    """Return the learning rate of each tensor that has one of its own.

    A key is the name of a part, or a part of dotted names of tensors (``lora_B``, ``h.0``), or a regular expression
    for whole names.

    :param tensors: names of the trained tensors; those of a part begin with its name.
    :raises TrainingError: a key matches nothing, or two keys with different rates match one tensor; one line.
    """
    parts = list(parts)
    matches = matching_tensors(list(rates), tensors, KEY)
    matches |= {key: [name for name in tensors if name.partition(".")[0] == key] for key in rates if key in parts}
    chosen: dict[str, tuple[float, str]] = {}
    for key, rate in rates.items():
        if not matches[key]:
            words = {word for name in tensors for word in name.split(".")}
            raise TrainingError(
                f"{KEY}: {shown(key)} is no part of this engine and matches no trained tensor"
                f"{nearest(key, [*parts, *sorted(words)])}"
            )
        for name in matches[key]:
            other, first = chosen.setdefault(name, (rate, key))
            if other != rate:
                raise TrainingError(
                    f"{KEY}: {shown(first)} and {shown(key)} both match {shown(name)}, with {other:g} and {rate:g}; "
                    "write keys that do not overlap"
                )
    return {name: rate for name, (rate, _) in chosen.items()}


def matching_tensors(keys: Sequence[str], tensors: Sequence[str], title: str) -> dict[str, list[str]]:
    """Return the tensors that each key matches: by words of their dotted names, or by a regular expression.

    ``h.0`` matches ``gpt.h.0.mlp.weight``, and not ``gpt.h.01.mlp.weight``.

    :param title: the setting that has the keys, for errors.
    """
    plain = [key for key in keys if re.fullmatch(r"[A-Za-z0-9_.]+", key)]
    matches = {key: [name for name in tensors if f".{key}." in f".{name}."] for key in plain}
    return matches | match_patterns([key for key in keys if key not in matches], tensors, title)


def part_rates(rates: Mapping[str, float], own: Mapping[str, float | None], default: float) -> dict[str, float]:
    """Return the learning rate of each part: the recipe's for the part, or its own, or the recipe's for everything.

    :param own: the rates that the engine gives its parts.
    """
    return {part: rates.get(part, default if rate is None else rate) for part, rate in own.items()}
