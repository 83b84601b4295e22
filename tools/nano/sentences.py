"""Generate the sentences of the small checkpoint: about two hundred common words, combined by a grammar.

``python tools/nano/sentences.py 10`` prints ten of them.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterator

PEOPLE = (
    "the captain|the teacher|the doctor|the farmer|my brother|my sister|her mother|his father|our neighbor|"
    "the children|an old woman|a young man|the gardener|my uncle|the baker"
).split("|")
THINGS = (
    "basket|blanket|lantern|letter|picture|bottle|ladder|hammer|candle|camera|jacket|suitcase|umbrella|bicycle|"
    "carpet|pencil|mirror|guitar|pillow|newspaper"
).split("|")
COLOURS = "red|blue|yellow|green|silver|black|white|purple|orange|brown".split("|")
QUALITIES = "wooden|heavy|little|broken|empty|beautiful|expensive|dusty|simple|enormous".split("|")
MOVED = "carried|brought|found|bought|sold|forgot|dropped|remembered|borrowed|followed".split("|")
OPENED = "opened|closed|painted|cleaned|repaired|watched|visited".split("|")
BUILDINGS = "kitchen|window|garden|station|bridge|harbor|library|hospital|market|museum|cabin|school".split("|")
PLACES = (
    "in the garden|near the river|behind the house|under the table|at the station|by the window|on the bridge|"
    "beside the lake|in the village|across the street|at the market|on the mountain|in the forest|along the beach|"
    "inside the kitchen|next to the library"
).split("|")
TIMES = (
    "in the morning|after dinner|before breakfast|last summer|last winter|on Monday|on Friday|on Sunday|"
    "every evening|at midnight|two days ago|yesterday|this afternoon|in September|for seven hours"
).split("|")
ANIMALS = "dog|cat|horse|rabbit|elephant|monkey|chicken|tiger|donkey".split("|")
DOING = "was sleeping|was waiting|was running|was singing|was hiding|was dancing|was eating".split("|")
FOOD = "bread|butter|honey|coffee|apples|soup|cheese|chocolate|tomatoes|potatoes|sugar|chicken|water".split("|")
NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty".split("|")
WEATHER = "the rain|the snow|the wind|the storm|the thunder|the music".split("|")
CHANGED = "stopped|started|was over|was terrible|became stronger|kept us awake".split("|")


def _people(draw: random.Random) -> str:
    who, verb, how, what = draw.choice(PEOPLE), draw.choice(MOVED), draw.choice(COLOURS + QUALITIES), _thing(draw)
    where = draw.choice(PLACES + TIMES)
    article = draw.choice(["the", "the", _article(how)])
    return f"{who} {verb} {article} {how} {what} {where}."


def _building(draw: random.Random) -> str:
    return f"{draw.choice(PEOPLE)} {draw.choice(OPENED)} the {draw.choice(BUILDINGS)} {draw.choice(TIMES)}."


def _please(draw: random.Random) -> str:
    what = f"{draw.choice(COLOURS + QUALITIES)} {_thing(draw)}"
    verb = draw.choice(["put", "leave", "hold", "look for"])
    return f"please {verb} the {what} {draw.choice(PLACES)}."


def _question(draw: random.Random) -> str:
    how, thing = draw.choice(COLOURS + QUALITIES), _thing(draw)
    start = draw.choice(["did you see", "who forgot", "where did you find", "why did you paint", "can you remember"])
    return f"{start} the {how} {thing}" + draw.choice(["?", f" {draw.choice(PLACES)}?"])


def _animal(draw: random.Random) -> str:
    how = draw.choice([*COLOURS, "little", "enormous", "beautiful"])
    where = draw.choice(PLACES)
    return f"the {how} {draw.choice(ANIMALS)} {draw.choice(DOING)} {where}."


def _count(draw: random.Random) -> str:
    kind = draw.choice([f"{_thing(draw)}s", f"{draw.choice(ANIMALS)}s"])
    return f"there were {draw.choice(NUMBERS)} {draw.choice(COLOURS + QUALITIES)} {kind} {draw.choice(PLACES)}."


def _food(draw: random.Random) -> str:
    first, second = draw.sample(FOOD, 2)
    start = draw.choice(["I would like some", "we always have", "they wanted", "please bring me some", "you need more"])
    return f"{start} {first} and {second}" + draw.choice([".", f" {draw.choice(TIMES[:3])}."])


def _weather(draw: random.Random) -> str:
    return f"{draw.choice(WEATHER)} {draw.choice(CHANGED)} {draw.choice(TIMES)}."


def _going(draw: random.Random) -> str:
    who = draw.choice(["we are going", "I am walking", "they are driving", "she is running", "he is hurrying"])
    return f"{who} to the {draw.choice(BUILDINGS)} {draw.choice(['with', 'without'])} {draw.choice(PEOPLE)}."


def _two(draw: random.Random) -> str:
    who, where, what = draw.choice(PEOPLE), draw.choice(PLACES), draw.choice(WEATHER)
    happened, did = draw.choice(CHANGED[:3]), draw.choice(["danced", "slept", "waited"])
    return f"{what} {happened}, and {who} {did} {where}."


KINDS: tuple[tuple[Callable[[random.Random], str], int], ...] = (
    (_people, 6),
    (_building, 2),
    (_please, 3),
    (_question, 3),
    (_animal, 3),
    (_count, 3),
    (_food, 3),
    (_weather, 2),
    (_going, 2),
    (_two, 1),
)


def _thing(draw: random.Random) -> str:
    return draw.choice(THINGS)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def sentences(seed: int) -> Iterator[str]:
    """Yield sentences without end, each one once; the same seed gives the same sentences."""
    draw = random.Random(seed)
    used_texts: set[str] = set()
    while True:
        kind = draw.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])[0]
        text = kind(draw)
        text = text[0].upper() + text[1:]
        if text not in used_texts:
            used_texts.add(text)
            yield text


def words(text: str) -> list[str]:
    """Return the words of a sentence in lower case."""
    return re.findall(r"[a-z]+", text.lower())


if __name__ == "__main__":
    stream = sentences(0)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
        print(next(stream))
