"""Score the checkpoint's own voices: ``python tools/nano/score.py CHECKPOINT CORPUS WHISPER.pt``.

Every voice of the corpus speaks the held-out sentences of the recipe nano, which nothing was trained on. Prints a row a
voice for the card: wrong words, sentences that end by themselves, pace against the voice's own, and similarity to its
own recordings and to the nearest other voice's, and to noah, whom the recipe nano learns. Needs the extra
``similarity``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from corpus import SAMPLE_RATE_HZ, Corpus

from vtune import Clip, load_engine
from vtune.engines import load_recipe
from vtune.evaluation import MetricValues, TestSet, synthesize_all, tuned_and_base
from vtune.evaluation.metrics.speaker_similarity import SpeakerSimilarity
from vtune.evaluation.metrics.word_errors import WordErrors
from vtune.types import Ending
from vtune.voices.speech import Speaker

OWN_RECORDINGS = 24
"""Number of recordings that represent a voice."""


def clips_of(folder: Path, count: int) -> list[Clip]:
    """Read the first clips of a folder."""
    corpus = Corpus([folder], level=True)
    return [
        Clip(
            f"{folder.name}{number}",
            folder.name,
            corpus.texts[number],
            sound.astype(np.float32) / 32768,
            SAMPLE_RATE_HZ,
        )
        for number, sound in enumerate(corpus.sounds[:count])
    ]


def mean(values: MetricValues) -> float:
    """Divide the sum of the numerators by that of the denominators."""
    ratios = [ratio for ratio in values if ratio is not None]
    return sum(ratio.numerator for ratio in ratios) / sum(ratio.denominator for ratio in ratios)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("whisper")
    parser.add_argument("--sentences", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    recipe = load_recipe(
        "nano", [f"engine_options.base_model={asked.checkpoint}", f"evaluate.recogniser={asked.whisper}"]
    )
    engine = load_engine("orpheus")
    base = engine.load_base(recipe.engine_options, torch.device("cpu"), torch.float32)
    model = engine.build_model(base, recipe.lora.settings(), "lora").eval()
    heldout = Path(__file__).resolve().parents[2] / "recipes" / "nano" / "heldout"
    held = clips_of(heldout, asked.sentences)
    texts = [clip.text for clip in held]
    word_errors = WordErrors(TestSet(texts, held), recipe)
    folders = sorted(path for path in asked.corpus.iterdir() if path.is_dir())
    own = {folder.name: clips_of(folder, OWN_RECORDINGS) for folder in folders}
    references = {**own, "noah": held}
    similarity = {name: SpeakerSimilarity(TestSet(texts, clips), recipe) for name, clips in references.items()}
    print(
        "| voice | wer | stop_rate | pace | speaker_similarity to itself | nearest other | to noah |\n"
        "|---|---|---|---|---|---|---|"
    )
    for name, clips in own.items():
        kept = engine.extract_conditioning(base, clips)
        _, untuned = tuned_and_base(Speaker(engine, base, model, kept))
        utterances = synthesize_all([untuned], texts, range(asked.seeds))
        ended = np.mean([utterance.ending == Ending.END_TOKEN for utterance in utterances])
        usual = sum(clip.seconds for clip in clips) / sum(len(clip.text) for clip in clips)
        pace = (
            sum(utterance.seconds for utterance in utterances)
            / sum(len(utterance.text) for utterance in utterances)
            / usual
        )
        alike = {
            voice: mean(metric.measure(utterances).values["speaker_similarity"]) for voice, metric in similarity.items()
        }
        nearest = max((voice for voice in alike if voice not in (name, "noah")), key=alike.__getitem__)
        wrong = mean(word_errors.measure(utterances).values["wer"])
        print(
            f"| {name} | {100 * wrong:.1f} % | {100 * ended:.1f} % | {pace:.2f} | {alike[name]:.2f} "
            f"| {nearest} {alike[nearest]:.2f} | {alike['noah']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
