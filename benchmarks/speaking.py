"""Compare Orpheus speaking one sentence, streamed, and many at once with plain transformers, in turns within one run.

    python benchmarks/speaking.py --sentences 8 --repetitions 5 --out figures.json

- ``generate``: transformers' ``generate`` on its own Llama with a PEFT adapter, all logits, the same masks as a
  ``LogitsProcessor``, and one decode of the whole utterance afterwards.
- ``merged``: the same with the adapter folded into the weights.
- ``alone``: vtune, sentence by sentence, streamed as ``vtune serve`` does (``first_frames: 2``).
- ``together``: vtune, all sentences at once, as ``vtune evaluate`` does.

All have the same weights (an adapter of rank 32 with small random numbers), sentences and sampling. By default there is
no randomness, so that all speak the same tokens, which is checked. ``generate`` has its first sound when all is done.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from machine import in_a_line, machine
from transformers import (
    AutoModelForCausalLM,
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from vtune import Conditioning, attach_lora, load_engine
from vtune.testing import made_clip
from vtune.voices.speech import Speaker
from vtune_orpheus import speech
from vtune_orpheus.conditioning import expected_tokens, prompt_of
from vtune_orpheus.decode_batch import sample_from_network
from vtune_orpheus.frame_decoder import FrameDecoder
from vtune_orpheus.layout import SLOTS, Layout
from vtune_orpheus.sampling import OrpheusSampling, max_tokens

SAMPLE_RATE_HZ, FRAME_SAMPLES = 24_000, 2048
SENTENCES = (
    "The old mill stands by the river, and nobody knows for how long.",
    "She opened the letter at once.",
    "When the rain had stopped, the children ran down to the harbour to look at the boats.",
    "There is nothing in the drawer but a key and two stamps.",
    "He counted the steps on his way up, as he always did.",
    "Is it far from here to the station?",
    "They sold the house in spring, and by summer the garden had grown over the fence.",
    "A lamp was still burning in the window across the street.",
)


@dataclass
class Said:
    """The tokens and samples of each sentence, and the time of its first sound."""

    tokens: list[list[int]] = field(default_factory=list)
    samples: int = 0
    first_seconds: list[float] = field(default_factory=list)
    first_frames: list[int] = field(default_factory=list)
    seconds: float = 0.0
    work: float = 0.0


class Slots(LogitsProcessor):
    """Allows the codes of the next slot, and the end of speech if a frame is complete."""

    def __init__(self, layout: Layout, prompt: int) -> None:
        self.layout, self.prompt = layout, prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        codes, may_end = self.layout.allowed(input_ids.shape[1] - self.prompt)
        ids = [*codes, *([self.layout.end_of_speech] if may_end else [])]
        masked = torch.full_like(scores, float("-inf"))
        masked[:, ids] = scores[:, ids]
        return masked


class Bench:
    """Base, adapter and conditioning, and the variants of speaking with them."""

    def __init__(self, asked: Any) -> None:
        self.engine = load_engine("orpheus")
        options = self.engine.info.options.model_validate(
            {"base_model": asked.base, "first_frames": 2, "temperature": asked.temperature}
        )
        device, dtype = torch.device(asked.device), getattr(torch, asked.dtype)
        self.base = self.engine.load_base(options, device, dtype)
        self.model = self.engine.build_lora_model(self.base, self.engine.info.lora).eval()
        torch.manual_seed(0)
        for name, parameter in self.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.002)
        kept = self.engine.extract_conditioning(self.base, [made_clip(SAMPLE_RATE_HZ, 1.0, 0)])
        self.sampling = OrpheusSampling.of(self.base.options)
        strings = {"voice": asked.voice, "seconds_per_character": "0.07"}
        self.kept = Conditioning(kept.tensors, {**kept.strings, **strings})
        self.plain = self._plain(dtype, device)
        self.merged = self._plain(dtype, device).merge_and_unload()

    def _plain(self, dtype: torch.dtype, device: torch.device) -> Any:
        network = AutoModelForCausalLM.from_pretrained(self.base.checkpoint, dtype=dtype, attn_implementation="sdpa")
        presets = self.engine.info.lora_targets
        model = attach_lora(network.to(device), self.engine.info.lora, presets, task_type="CAUSAL_LM")
        model.load_state_dict(self.model.state_dict())
        return model.eval()

    def generate(self, model: Any, texts: list[str]) -> Said:
        """Speak with plain transformers, sentence by sentence."""
        layout, result = self.base.layout, Said()
        for text in texts:
            began = time.perf_counter()
            prompt = prompt_of(self.base, self.kept, text)
            chain: list[Any] = [Slots(layout, len(prompt))]
            chain.append(RepetitionPenaltyLogitsProcessor(self.sampling.repetition_penalty))
            if self.sampling.temperature:
                chain += [TemperatureLogitsWarper(self.sampling.temperature), TopPLogitsWarper(self.sampling.top_p)]
            ids = torch.tensor([prompt], device=self.base.device)
            torch.manual_seed(0)
            answer = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), logits_processor=LogitsProcessorList(chain),
                do_sample=self.sampling.temperature > 0, temperature=1.0, top_p=1.0, top_k=0, repetition_penalty=1.0,
                max_new_tokens=self.most(text), eos_token_id=layout.end_of_speech, pad_token_id=layout.pad,
            )[0, len(prompt) :].tolist()  # fmt: skip
            frames = len(answer) // SLOTS
            decoder = FrameDecoder(self.base.codec, layout, 0)
            decoder.add(answer[: frames * SLOTS])
            result.samples += len(decoder.flush())
            result.tokens.append(answer)
            result.first_seconds.append(time.perf_counter() - began)
            result.first_frames.append(frames)
        return result

    def most(self, text: str) -> int:
        """Return the number of tokens after which an utterance is stopped, as in vtune."""
        runaway = int(speech.RUNAWAY_FACTOR * expected_tokens(self.kept, text) + SLOTS * SAMPLE_RATE_HZ / FRAME_SAMPLES)
        return max_tokens(self.sampling, runaway)

    def alone(self, texts: list[str]) -> Said:
        """Speak with vtune, streamed."""
        result = Said()
        for text in texts:
            drawn: list[int] = []

            def noted(*asked: Any, drawn: list[int] = drawn) -> Any:
                for token in sample_from_network(self.model, self.base.layout, *asked):
                    drawn.append(token)
                    yield token

            began, first = time.perf_counter(), None
            for piece in speech.speak(self.base, noted, text, self.kept, 0, {}):
                if first is None:
                    first = time.perf_counter() - began
                    result.first_seconds.append(first)
                    result.first_frames.append(len(drawn) // SLOTS)
                result.samples += len(piece.waveform)
            result.tokens.append(drawn)
        return result

    def together(self, texts: list[str]) -> Said:
        """Speak with vtune, all at once; the tokens are not visible, so they are counted by the sound."""
        lines = [(text, 0) for text in texts]
        sounds = dict(Speaker(self.engine, self.base, self.model, self.kept).speak_batch(lines))
        counts = [
            sum(len(piece.waveform) for piece in sounds[index]) // FRAME_SAMPLES * SLOTS for index in range(len(texts))
        ]
        samples = sum(len(piece.waveform) for pieces in sounds.values() for piece in pieces)
        return Said([[0] * count for count in counts], samples)


def main() -> None:
    """Run the variants in turns, print a table, write the results."""
    asked = arguments()
    torch.set_num_threads(asked.threads)
    transformers.logging.set_verbosity_error()
    bench = Bench(asked)
    arms: dict[str, Callable[[list[str]], Said]] = {
        "generate": partial(bench.generate, bench.plain),
        "merged": partial(bench.generate, bench.merged),
        "alone": bench.alone,
        "together": bench.together,
    }
    texts = [SENTENCES[index % len(SENTENCES)] for index in range(asked.sentences)]
    results: dict[str, list[Said]] = {name: [] for name in arms}
    with torch.inference_mode():
        for arm in arms.values():
            arm(["Yes."])  # what is only done once is done here
        for repetition in range(asked.repetitions):
            for name, arm in arms.items():
                began, worked = time.perf_counter(), time.process_time()
                result = arm(texts)
                result.seconds, result.work = time.perf_counter() - began, time.process_time() - worked
                results[name].append(result)
                print(
                    f"repetition {repetition + 1}, {name}: {result.seconds:.1f} s, {result.work:.1f} s of work",
                    flush=True,
                )
    record = {
        "machine": machine(
            asked.device, asked.threads, base=asked.base, dtype=asked.dtype, temperature=asked.temperature
        ),
        "sentences": len(texts),
        "arms": figures(results),
    }
    say(record)
    if asked.out:
        asked.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def figures(results: dict[str, list[Said]]) -> dict[str, Any]:
    """Return the medians over the repetitions, and whether all variants spoke the same tokens."""
    expected = results["generate"][0]
    return {
        name: {
            "seconds": [result.seconds for result in several],
            "work": [result.work for result in several],
            "tokens": sum(map(len, several[0].tokens)),
            "tokens_per_second": statistics.median(sum(map(len, result.tokens)) / result.seconds for result in several),
            "sound_per_second": statistics.median(
                result.samples / SAMPLE_RATE_HZ / result.seconds for result in several
            ),
            "first_seconds": _median([seconds for result in several for seconds in result.first_seconds]),
            "first_frames": _median([frames for result in several for frames in result.first_frames]),
            "same": sum(
                len(tokens) // SLOTS == len(expected_tokens) // SLOTS
                if name == "together"
                else tokens == expected_tokens
                for tokens, expected_tokens in zip(several[0].tokens, expected.tokens, strict=True)
            ),
        }
        for name, several in results.items()
    }


def _median(values: list[Any]) -> float | None:
    return statistics.median(values) if values else None


def say(record: dict[str, Any]) -> None:
    """Print the results."""
    print(in_a_line(record["machine"]))
    print("\n| | tokens a second | faster | s (least to most) | processor s | sound a second | first sound | same |")
    print("|---|---|---|---|---|---|---|---|")
    before = record["arms"]["generate"]["tokens_per_second"]
    for name, arm in record["arms"].items():
        times = arm["seconds"]
        first = f"{arm['first_frames']:.0f} frames, {arm['first_seconds']:.2f} s" if arm["first_seconds"] else ""
        cells = [
            name,
            f"{arm['tokens_per_second']:,.0f}",
            f"{arm['tokens_per_second'] / before:.2f} x",
            f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})",
            f"{statistics.median(arm['work']):.2f}",
            f"{arm['sound_per_second']:.2f} s",
            first,
            f"{arm['same']} of {record['sentences']}",
        ]
        print(f"| {' | '.join(cells)} |")


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="nano", help="folder or name of the checkpoint")
    parser.add_argument("--voice", default="ruth", help="name of the voice in the prompt")
    parser.add_argument("--sentences", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
