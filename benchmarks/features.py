"""Measure the encoding of a voice's clips: first run, second run, the gain of reading ahead, and codes under bf16.

    python benchmarks/features.py recipes/quickstart.yaml --repetitions 3 --out figures.json

``first`` and ``second`` end with data that can be trained on, both in the same folder; the tokenizer, which training
needs as well, is loaded before. ``serial`` reads a clip when it is to be encoded. A GPU leaves the CPU idle while it
encodes: ``elsewhere`` waits instead of encoding, for as long as reading takes, with and without reading ahead.

IndexTTS2 with random weights: ``engine=indextts2 engine_options={base_model: nano}``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from machine import in_a_line, machine

from vtune import Clip, dataset, load_engine, load_recipe
from vtune.dataset.features import encode
from vtune.engines import Engine
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder


def main() -> None:
    """Run the variants in turns, print tables, write the results."""
    asked = arguments()
    torch.set_num_threads(asked.threads)
    recipe = load_recipe(asked.recipe, asked.overrides)
    engine = load_engine(recipe.engine)
    started = time.perf_counter()
    clips = read_clips(recipe, engine)
    reading = (time.perf_counter() - started) / len(clips)
    taken: dict[str, list[tuple[float, float]]] = {}
    for _ in range(asked.repetitions):
        for name, (seconds, worked) in once(recipe, engine, reading).items():
            taken.setdefault(name, []).append((seconds, worked))
            print(f"{name}: {seconds:.2f} s, {worked:.2f} s of work, load {os.getloadavg()[0]:.1f}", flush=True)
    sound = sum(clip.seconds for clip in clips)
    record: dict[str, Any] = {
        "machine": machine("cpu", asked.threads),
        "clips": len(clips),
        "sound": sound,
        "reading": reading,
    }
    print("\n" + in_a_line(record["machine"]))
    print(f"{len(clips)} clips, {sound:.0f} s; reading takes {1000 * reading:.1f} ms a clip\n")
    print("| run | s, median (least to most) | against first | processor s | against first |\n|---|---|---|---|---|")
    for name, pairs in taken.items():
        cells = [name]
        for index, times in enumerate(zip(*pairs, strict=True)):
            median, first = statistics.median(times), statistics.median(pair[index] for pair in taken["first"])
            cells += [f"{median:.2f} ({min(times):.2f} to {max(times):.2f})", f"{first / median:.1f} x"]
        print(f"| {' | '.join(cells)} |")
    record["seconds"] = taken
    record["changed by bf16"] = share, spoilt = changed_by_bf16(recipe, engine, clips)
    print(f"\nunder bf16 autocast {100 * share:.2f} % of the tokens are others, in {spoilt} of {len(clips)} clips")
    if asked.out:
        asked.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def once(recipe: Recipe, engine: Engine, reading: float) -> dict[str, tuple[float, float]]:
    """Time each variant once, each in a separate folder."""

    def elsewhere(self: Engine, base: Any, clip: Any) -> Any:
        time.sleep(reading)
        return {engine.info.length_feature: clip.waveform[:1]}

    waits = partial(mock.patch.object, Engine, "prepare_sample", elsewhere)
    serial = partial(mock.patch.object, encode, "_read_ahead", in_turn)
    with tempfile.TemporaryDirectory() as folder:
        taken = {name: build(recipe, engine, Path(folder)) for name in ("first", "second")}
    for name, changes in {"serial": [serial], "elsewhere": [waits], "elsewhere, serial": [waits, serial]}.items():
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            for change in changes:
                stack.enter_context(change())
            taken[name] = build(recipe, engine, Path(folder))
    return taken


def build(recipe: Recipe, engine: Engine, folder: Path) -> tuple[float, float]:
    """Do what a run does before the training; return the seconds and the CPU seconds."""
    base = engine.load_base(recipe.engine_options, torch.device("cpu"), torch.float32)
    engine.features_fingerprint(base)
    started, worked = time.perf_counter(), time.process_time()
    dataset.build_training_data(recipe, engine, base, RunFolder(folder))
    return time.perf_counter() - started, time.process_time() - worked


def in_turn(job: Any, engine: Engine, sources: Any, work: Any) -> Iterator[Any]:
    """Read each clip when it is needed."""
    for item, key, number in work:
        read: Future[Any] = Future()
        read.set_result(encode.load_clip(job.recipe, engine, sources[item.source], item))
        yield item, key, number, read


def read_clips(recipe: Recipe, engine: Engine) -> list[Clip]:
    """Read all clips."""
    sources = dataset.open_sources(recipe)
    items = [item for item in dataset.manifest_entries(recipe, sources) if item.reason is None]
    return [encode.load_clip(recipe, engine, sources[item.source], item) for item in items]


def changed_by_bf16(recipe: Recipe, engine: Engine, clips: list[Clip]) -> tuple[float, int]:
    """Return the share of tokens that differ under bf16 autocast, and the number of clips that have such tokens."""
    base = engine.load_base(recipe.engine_options, torch.device("cpu"), torch.float32)
    name, others, count, spoilt = engine.info.length_feature, 0, 0, 0
    for clip in clips:
        plain = engine.prepare_sample(base, clip)[name]
        with torch.autocast("cpu", torch.bfloat16):
            features = engine.prepare_sample(base, clip)[name]
        others += int((plain != features).sum())
        count += len(plain)
        spoilt += bool((plain != features).any())
    return others / count, spoilt


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a recipe file, or the name of a built-in recipe")
    parser.add_argument("overrides", nargs="*", help="changes of the recipe, key=value, as for vtune run")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
