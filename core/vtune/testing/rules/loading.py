"""Loading the base, and naming its parts."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from vtune.engines import Engine
from vtune.errors import VtuneError
from vtune.testing import life
from vtune.testing.rule import NotApplicable, require, rule
from vtune.testing.rules.describe import info_is_valid
from vtune.testing.subject import Subject
from vtune.testing.watch import refused_network

FINGERPRINT_SECONDS = 2.0
"""Longest time that hashing a tiny base may take."""

WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".npz", ".npy", ".onnx", ".gguf"})


@rule(
    why="Clusters and private machines have no network, and a file that is fetched may change between two runs.",
    change="Read files that options name; fetch models from the Hub with vtune.toolkit.fetch_file or load_pretrained, "
    "which use the local cache first.",
    after=(info_is_valid,),
)
def works_offline(subject: Subject) -> None:
    """With all files on the disk, no hook uses the network."""
    with refused_network() as attempts:
        count = len(attempts)
        for hook, step in life.steps_from_the_start(subject):
            made = life.attempted(step)
            require(
                len(attempts) == count,
                f"{hook} tried to connect to {', '.join(list(dict.fromkeys(attempts[count:]))[:3])}.",
            )
            if made is None:
                return


@rule(
    why="The kit, a training and a voice begin with it.",
    change="Let load_base work with the given options on the CPU; load each part at its first use.",
    after=(info_is_valid,),
)
def base_loads(subject: Subject) -> None:
    """load_base returns the engine's state on the CPU in float32, as often as it is called."""
    _ = subject.base
    subject.new_base()


@rule(
    why="The card of every voice states the licence, and whoever passes the voice on relies on it.",
    change="Return a vtune.Licence of texts from base_licence, or None if the licence in engine_info holds.",
    after=(base_loads,),
)
def licence_is_stated(subject: Subject) -> None:
    """The licence of the base is a Licence of texts, and says what it requires."""
    if not subject.implements("base_licence"):
        raise NotApplicable("the engine states one licence for all bases")
    licence = subject.engine.licence(subject.base)
    require(
        licence.terms.strip(), "base_licence gives no terms, so the card of a voice would not say what is required."
    )


@rule(
    why="The hashes are written into the voice and compared when it is opened.",
    change="Return a dict of texts: {'network': vtune.toolkit.hash_file(path)}.",
    after=(base_loads,),
)
def fingerprint_is_a_dict_of_texts(subject: Subject) -> None:
    """fingerprint and features_fingerprint return hashes by name, as texts."""
    subject.engine.features_fingerprint(subject.base)


@rule(
    why="Without it, vtune uses old features with a new codec and speaks a voice with a base that it was not trained "
    "on: it would speak noise, and nobody would be told.",
    change="Write the hook fingerprint: return {'network': vtune.toolkit.hash_file(path)}, with every part that speech "
    "depends on.",
    after=(fingerprint_is_a_dict_of_texts,),
)
def fingerprint_names_the_base(subject: Subject) -> None:
    """fingerprint names the parts that a voice needs, each with a hash."""
    parts = subject.engine.fingerprint(subject.base)
    require(parts, "fingerprint returned no part.")
    empty = [name for name, text in subject.engine.features_fingerprint(subject.base).items() if not text]
    require(not empty, f"The hash of {', '.join(empty)} is an empty text.")


@rule(
    why="It is asked before and after encoding on every rank, and whenever a voice is opened.",
    change="Hash the files (vtune.toolkit.hash_file keeps what it has hashed), and do not load the weights for it.",
    after=(fingerprint_is_a_dict_of_texts,),
)
def fingerprint_is_quick(subject: Subject) -> None:
    """fingerprint reads files, but loads no weights."""
    base = subject.new_base()
    started = time.perf_counter()
    subject.engine.features_fingerprint(base)
    seconds = time.perf_counter() - started
    require(seconds < FINGERPRINT_SECONDS, f"fingerprint took {seconds:.1f} s with this small base.")


@rule(
    why="vtune encodes all clips again, and refuses finished voices, whenever the fingerprint changes.",
    change="Hash the content of files and the values of options: no id(), no time, no hash() of a text, no set or "
    "address in a printed form.",
    after=(fingerprint_is_a_dict_of_texts,),
)
def fingerprint_is_stable(subject: Subject) -> None:
    """The same files give the same fingerprint: twice, and in a base that is loaded again."""
    first = subject.engine.features_fingerprint(subject.base)
    again, other = (
        subject.engine.features_fingerprint(subject.base),
        subject.engine.features_fingerprint(subject.new_base()),
    )
    for parts, when in (
        (again, "when it was asked again"),
        (other, "in a base that was loaded again from the same options"),
    ):
        for name in {**first, **parts}:
            require(
                first.get(name) == parts.get(name),
                f"The part {name!r} of the fingerprint was {first.get(name)!r}, and {parts.get(name)!r} {when}.",
            )


@rule(
    why="Otherwise a voice that is opened with other weights speaks noise, and nobody is told.",
    change="Hash the weight files: return {'network': vtune.toolkit.hash_file(path)}.",
    after=(fingerprint_is_stable,),
)
def fingerprint_follows_the_files(subject: Subject) -> str | None:
    """When the weight files of the base change, the fingerprint changes; where they lie does not count."""
    options = dict(subject.engine_options)
    folders = {name: Path(value) for name, value in options.items() if isinstance(value, str | Path) and value}
    folders = {name: path for name, path in folders.items() if path.is_dir()}
    if not folders:
        raise NotApplicable("no option names a folder of files")
    name, folder = next(iter(folders.items()))
    copy = subject.new_folder("base") / folder.name
    shutil.copytree(folder, copy)
    before = subject.engine.features_fingerprint(subject.base)
    moved = subject.engine.features_fingerprint(subject.new_base(**{name: str(copy)}))
    require(
        moved == before,
        f"With a copy of the folder under {name!r}, the fingerprint is another one: {_changes(before, moved)}.",
        "Hash the content of the files, not their paths or dates.",
    )
    weights = [path for path in sorted(copy.rglob("*")) if path.suffix in WEIGHT_SUFFIXES and path.stat().st_size > 64]
    if not weights:
        raise NotApplicable(f"the folder {folder.name} has no weight files")
    unnoticed = []
    for path in weights:
        _flip_last_byte(path)
        if _fingerprint(subject.engine, subject.new_base(**{name: str(copy)})) == before:
            unnoticed.append(path.relative_to(copy).as_posix())
        _flip_last_byte(path)
    require(
        len(unnoticed) < len(weights),
        f"A changed byte in {', '.join(unnoticed[:3])} did not change the fingerprint.",
    )
    return f"not noticed: another {', '.join(unnoticed)}" if unnoticed else None


def _fingerprint(engine: Engine, base: object) -> dict[str, str] | None:
    try:
        return engine.features_fingerprint(base)
    except VtuneError:
        return None  # it has noticed


def _changes(before: dict[str, str], after: dict[str, str]) -> str:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name!r} was {before.get(name)!r} and is {after.get(name)!r}" for name in names)


def _flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
