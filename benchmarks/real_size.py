"""Run a whole voice at the published size with random weights, stage by stage: seconds and memory.

    python benchmarks/real_size.py --engine orpheus --folder /tmp/real
    python benchmarks/real_size.py --engine orpheus --layers 2 --folder /tmp/small
    python benchmarks/real_size.py --engine indextts2 --folder /tmp/indextts2
    python benchmarks/real_size.py --engine indextts2.5 --folder /tmp/indextts25

The script writes a checkpoint of the shape of Orpheus 3B (6.6 GB in bf16, tensor by tensor, with a SNAC of the
published widths); or one of IndexTTS-2 whose GPT has the published size and whose other parts are small; or one of
IndexTTS-2.5 whose `gpt.pth` (814.8 million numbers, 3.3 GB), codec, flow and vocabulary have the published sizes and
whose w2v-BERT and vocoder are small. With it, it writes six or eight clips. Then it does what a user does: `plan`,
`run` until the first of two steps is saved, `kill -9`, `run` again to the finished voice, `say`, `merge` and
`export`. Each stage has a row: seconds, peak resident memory of the process and its children, and peak anonymous
memory: memory that is no mapped file, and so cannot be released when memory is short.

`--limit-gib` puts every process into a memory cgroup (version 1, as root); a process that needs more is killed.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers
import yaml
from machine import in_a_line, machine
from orpheus_gate import SHAPE

GIB = 2**30
CODEC: dict[str, Any] = {
    "sampling_rate": 24_000, "encoder_dim": 48, "encoder_rates": [2, 4, 8, 8], "decoder_dim": 1024,
    "decoder_rates": [8, 8, 4, 2], "attn_window_size": None, "codebook_size": 4096, "codebook_dim": 8,
    "vq_strides": [4, 2, 1], "noise": True, "depthwise": True,
}  # fmt: skip
CLIP_SECONDS = (3.0, 3.4, 3.8, 4.2, 4.6, 5.0)
SHORT_CLIP_SECONDS = (1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6)
"""Eight clips for two steps of IndexTTS-2.5."""

SAMPLE_SECONDS = 0.02
STATEMENT = "I have the right to publish this voice"
STAGES = (
    ("encode", re.compile(r"\[1/3\]")),
    ("load", re.compile(r"\[2/3\]")),
    ("train", re.compile(r"trainable params")),
    ("check", re.compile(r"training: done")),
    ("speak and write", re.compile(r"\[3/3\]")),
)
"""Stages of `vtune run`, each with the log line that starts the stage."""


TO_A_DEVICE = """
import sys, torch
from transformers import core_model_loading
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.options import OrpheusOptions

def copy(tensor, device=None, dtype=None):
    return tensor[...].to(dtype).contiguous().clone().to(device)

core_model_loading._materialize_copy = copy
OrpheusBase(OrpheusOptions(base_model=sys.argv[1]), torch.device("meta"), torch.float16).new_network()
"""
"""Loads Orpheus as for a GPU that multiplies in fp16, such as a T4. Instead of a GPU, torch's `meta` device takes each
tensor after the host has read it, converted it and copied it once more, as the copy to a GPU does."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory of a process and its children at one moment, in bytes."""

    time: float
    resident: int
    anonymous: int


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage with its seconds and its peak memory."""

    stage: str
    seconds: float
    resident: int
    anonymous: int

    def line(self) -> str:
        """Return a row of a table."""
        return f"| {self.stage} | {self.seconds:.1f} | {self.resident / GIB:.2f} | {self.anonymous / GIB:.2f} |"


def main() -> None:
    """Print a table."""
    asked = arguments()
    asked.folder.mkdir(parents=True, exist_ok=True)
    print(in_a_line(machine("cpu", torch.get_num_threads(), engine=asked.engine, layers=asked.layers)), flush=True)
    base = asked.folder / "base"
    if not (base / "config.json").is_file() and not (base / "config.yaml").is_file():
        began = time.monotonic()
        base.mkdir(exist_ok=True)
        shape = {"num_hidden_layers": asked.layers, "vocab_size": asked.vocabulary}
        BUILDERS[asked.engine](base, **{name: size for name, size in shape.items() if size is not None})
        print(f"checkpoint: {sum(p.stat().st_size for p in base.rglob('*') if p.is_file()) / 1e9:.2f} GB, "
              f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
    recipe = write_recipe(asked.folder, asked.engine, base)
    with limited(asked.limit_gib) as enter:
        for row in stages(asked.folder, asked.engine, recipe, enter):
            print(row.line(), flush=True)


def stages(folder: Path, engine: str, recipe: Path, enter: Callable[[], None]) -> Iterator[StageRow]:
    """Run everything, and yield a row for each stage."""
    voice = str(folder / "voices" / "real")

    def checkpoint_is_there() -> bool:
        return any((folder / "runs").glob("real/checkpoints/*/checkpoint-1/complete.json"))

    vtune = [sys.executable, "-m", "vtune_cli"]
    planning = list(measured("plan", [*vtune, "plan", str(recipe)], enter))
    print("| stage | seconds | resident GiB | of it anonymous GiB |\n|---|---|---|---|", flush=True)
    yield from planning
    if engine == "orpheus":
        device = [sys.executable, "-c", TO_A_DEVICE, str(folder / "base")]
        yield from measured("load to a device (stand-in)", device, enter)
    if not checkpoint_is_there():
        yield from measured("run", [*vtune, "run", str(recipe)], enter, until=checkpoint_is_there)
    yield from measured("resumed", [*vtune, "run", str(recipe)], enter)
    yield from measured("say", [*vtune, "say", voice, "Hello.", "--out", str(folder / "hello.wav")], enter)
    for name, command in (
        ("merge", ["merge", voice]),
        ("export peft", ["export", voice, "--to", "peft"]),
        ("export merged", ["export", voice, "--to", "merged", "--dtype", "fp32"]),
    ):
        out = Path(tempfile.mkdtemp(dir=folder)) / "out"
        further = ["--without-consent", STATEMENT] if command[0] == "export" else []
        yield from measured(name, [*vtune, *command[:2], str(out), *command[2:], *further], enter)
        subprocess.run(["rm", "-rf", str(out.parent)], check=True)


def measured(
    name: str, command: list[str], enter: Callable[[], None], until: Callable[[], bool] | None = None
) -> Iterator[StageRow]:
    """Run a command and yield its rows; a command that reports stages has one row for each stage.

    :param until: the process is killed as with `kill -9` when this returns true.
    """
    samples: list[Sample] = []
    marks = [(time.monotonic(), name)]
    lines: list[str] = []
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, preexec_fn=enter,
    )  # fmt: skip

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            marks.extend(
                (time.monotonic(), f"{name}: {stage}") for stage, sign in STAGES if sign.search(line) is not None
            )

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    killed = False
    while process.poll() is None:
        samples.append(sample(process.pid))
        if until is not None and until():
            os.killpg(process.pid, signal.SIGKILL)
            killed = True
            process.wait()
        time.sleep(SAMPLE_SECONDS)
    reader.join(timeout=5)
    ended = time.monotonic()
    if process.returncode and not killed:
        print("\n".join(lines[-30:]), flush=True)
        print(f"{name}: exit code {process.returncode}", flush=True)
    if name == "plan":
        print("".join(f"    {line}\n" for line in lines), flush=True)
    for (began, stage), (end, _) in zip(marks, [*marks[1:], (ended, "")], strict=True):
        own = [sample for sample in samples if began <= sample.time < end]
        if own:
            resident, anonymous = max(sample.resident for sample in own), max(sample.anonymous for sample in own)
            yield StageRow(stage, end - began, resident, anonymous)


def sample(pid: int) -> Sample:
    """Return the memory of a process and of all processes that it started."""
    resident = anonymous = 0
    for process_id in family(pid):
        try:
            status = Path(f"/proc/{process_id}/status").read_text()
        except OSError:
            continue
        sizes = {key: int(value) * 1024 for key, value in re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", status, re.M)}
        resident += sizes.get("VmRSS", 0)
        anonymous += sizes.get("RssAnon", 0)
    return Sample(time.monotonic(), resident, anonymous)


def family(pid: int) -> Iterator[int]:
    """Yield a process and all of its descendants."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from family(int(child))


@contextmanager
def limited(gib: float | None) -> Iterator[Callable[[], None]]:
    """Yield a function that a child process calls to put itself under the memory limit."""
    if gib is None:
        yield lambda: None
        return
    group = Path(f"/sys/fs/cgroup/memory/real-size-{os.getpid()}")
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(int(gib * GIB)))

    def enter() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    try:
        yield enter
    finally:
        group.rmdir()


def build_orpheus(folder: Path, **shape: int) -> None:
    """Write network, tokenizer and codec; at most one tensor of the network is in memory at a time."""
    from safetensors.torch import save_file
    from snac import SNAC

    from vtune_orpheus.tiny_checkpoint import build_tokenizer

    tokenizer = build_tokenizer(CODEC["codebook_size"])
    config = transformers.LlamaConfig(
        **{**SHAPE, **shape},
        rope_theta=500_000.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids("<custom_token_2>"),
        pad_token_id=tokenizer.convert_tokens_to_ids("<custom_token_7>"),
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
    )
    with torch.device("meta"):
        network = transformers.LlamaForCausalLM(config)
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}  # tied ones once
    write_random(folder / "model.safetensors", shapes)
    torch.manual_seed(0)
    (folder / "snac").mkdir(exist_ok=True)
    save_file(SNAC(**CODEC).state_dict(), str(folder / "snac" / "model.safetensors"))
    (folder / "snac" / "config.json").write_text(json.dumps(CODEC, indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)


def write_random(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Write bf16 tensors into a safetensors file, one after another: norms are ones, the others small noise."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            if len(shape) == 1:
                tensor = torch.ones(shape, dtype=torch.bfloat16)
            else:
                tensor = torch.randn(shape, generator=generator).mul_(0.02).bfloat16()
            file.write(tensor.view(torch.uint8).numpy().data)


def build_indextts2(folder: Path, num_hidden_layers: int = 24) -> None:
    """Write a checkpoint whose GPT has the published width and depth."""
    from vtune_indextts2 import nano_checkpoint

    nano_checkpoint.build(folder, width=1280, layers=num_hidden_layers)


def build_indextts25(folder: Path, num_hidden_layers: int = 24) -> None:
    """Write a checkpoint of the published shape of IndexTTS-2.5, with a small w2v-BERT and a small vocoder."""
    from vtune_indextts2 import nano_checkpoint
    from vtune_indextts2.config import read_config
    from vtune_indextts2.gpt.conditioning import encoder_class
    from vtune_indextts2.gpt.network import SemanticGPTConfig
    from vtune_indextts2.gpt.style_network import StyleGPT
    from vtune_indextts2.s2mel.network import LATENT_DIMS, S2Mel
    from vtune_indextts2.semantic.half_rate_codec import HalfRateCodec

    nano_checkpoint.build(folder, layers=1, release="2.5")
    content = yaml.safe_load(Path(__file__).with_name("indextts25.yaml").read_text(encoding="utf-8"))
    content["gpt"]["layers"] = num_hidden_layers
    (folder / "config.yaml").write_text(yaml.safe_dump({**content, "semantic_layers": 2}, sort_keys=False))
    config = read_config(folder / "config.yaml")
    torch.manual_seed(0)
    for path in folder.glob("*.tiktoken"):
        path.unlink()
    specials = 1_673
    write_vocabulary(folder / config.bpe_model, config.gpt.number_text_tokens - specials)
    network = StyleGPT(SemanticGPTConfig(settings=config.gpt.model_dump())).state_dict()
    tensors = {**encoder_class(config.gpt)(config.gpt).state_dict(), **network}
    torch.save({"model": tensors}, folder / "gpt.pth")
    del network, tensors
    torch.save({"model": HalfRateCodec().state_dict()}, folder / "codec.pth")
    nested: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in S2Mel(config.s2mel, LATENT_DIMS).state_dict().items():  # with the part that nothing reads
        part, rest = name.split(".", 1)
        nested.setdefault(part, {})[rest] = tensor
    torch.save({"net": nested}, folder / "s2mel.pth")
    width, rows = config.gpt.feature_dim, sum(config.emo_num)
    torch.save({"mean": torch.zeros(width), "var": torch.ones(width)}, folder / "wav2vec2bert_stats.pt")
    torch.save(torch.randn(rows, config.gpt.model_dim), folder / "feat2.pt")
    semantic = transformers.Wav2Vec2BertConfig(
        hidden_size=width, num_hidden_layers=2, num_attention_heads=16, intermediate_size=64
    )
    transformers.Wav2Vec2BertModel(semantic).save_pretrained(folder / "w2v-bert-2.0")


def write_vocabulary(path: Path, lines: int) -> None:
    """Write a byte-pair vocabulary: all bytes, random tokens, and the empty token of the released file."""
    tokens = [bytes([value]) for value in range(256)]
    tokens += [b"\xff" + number.to_bytes(3, "big") for number in range(lines - 1 - len(tokens))]
    text = b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))
    path.write_bytes(text + b"= %d\n" % (lines - 1))


BUILDERS = {"orpheus": build_orpheus, "indextts2": build_indextts2, "indextts2.5": build_indextts25}


def write_recipe(folder: Path, engine: str, base: Path) -> Path:
    """Write the clips and a recipe with two steps, which saves a checkpoint after each."""
    clips = folder / "clips"
    if not clips.is_dir():
        clips.mkdir()
        with (clips / "transcripts.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["filename", "text"])
            for number, seconds in enumerate(SHORT_CLIP_SECONDS if engine == "indextts2.5" else CLIP_SECONDS):
                times = np.arange(int(seconds * 24_000)) / 24_000
                noise = np.random.default_rng(number).normal(0, 0.02, len(times))
                sound = 0.2 * np.sin(2 * np.pi * (150 + 20 * number) * times) + noise
                soundfile.write(clips / f"clip_{number}.wav", sound, 24_000)
                table.writerow([f"clip_{number}", f"this is sentence number {number} of a measurement"])
    speaking: dict[str, Any] = {
        "orpheus": {"max_new_tokens": 70},
        "indextts2": {"max_codes": 70, "normaliser": "basic"},
        "indextts2.5": {"max_codes": 20, "normaliser": "basic"},
    }.get(engine, {})
    batch = {"batch_size": 4, "gradient_accumulation": 1} if engine == "indextts2.5" else {}  # eight clips in two steps
    recipe = {
        "voice": "real",
        "engine": engine.removesuffix(".5"),
        "engine_options": {"base_model": str(base), **speaking},
        "data": [{"source": str(clips)}],
        "folders": {"runs": str(folder / "runs"), "voices": str(folder / "voices")},
        "train": {
            "max_steps": 2,
            "save_every": 1,
            "validation": 0,
            "warmup": 0,
            "log_every": 1,
            "learning_rate": 1e-4,
            **batch,
        },
        "evaluate": {
            "sentences": ["Hello."],
            "metrics": ["delivery", "speed"],
            "train_sentences": 1,
            "checkpoint_sentences": 0,
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=sorted(BUILDERS), default="orpheus")
    parser.add_argument("--layers", type=int, help="number of layers; default: as published")
    parser.add_argument(
        "--vocabulary", type=int, help="size of Orpheus's vocabulary, at least 29,000; default: as published"
    )
    parser.add_argument("--folder", type=Path, required=True, help="folder for checkpoint, clips, runs and voices")
    parser.add_argument("--limit-gib", type=float, help="memory limit for each process and its children")
    return parser.parse_args()


if __name__ == "__main__":
    main()
