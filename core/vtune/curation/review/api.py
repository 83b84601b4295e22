"""What the page asks and what it is answered: requests as models, clips as plain data."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from vtune.curation.review.clips import ReviewClip
from vtune.curation.review.review import Review


class Request(BaseModel):
    """What a page may send; nothing more, nothing of another kind."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Nothing(Request):
    """Concerns no clip."""


class Numbered(Request):
    """Concerns one clip."""

    clip: int


class Seen(Numbered):
    """Concerns a clip that had these words when the listener saw it."""

    was: str | None = None


class Worded(Seen):
    """New words of a clip."""

    text: str


class Halved(Seen):
    """Where to cut, in seconds, and the words of the halves."""

    at: float
    first: str
    second: str


def _words(review: Review, asked: Worded) -> int | None:
    named = review.clip(asked.clip).state == "kept"
    review.set_words(asked.clip, asked.text, asked.was)
    return asked.clip if named else None


def _approve(review: Review, asked: Seen) -> int | None:
    review.approve(asked.clip, asked.was)
    return asked.clip


def _doubt(review: Review, asked: Numbered) -> int | None:
    review.doubt(asked.clip)
    return asked.clip


def _drop(review: Review, asked: Numbered) -> int | None:
    review.drop(asked.clip)
    return asked.clip


def _restore(review: Review, asked: Numbered) -> int | None:
    review.restore(asked.clip)
    return asked.clip


def _split(review: Review, asked: Halved) -> dict[str, Any]:
    first, _ = review.split(asked.clip, asked.at, (asked.first, asked.second), asked.was)
    return {"go": first}


def _undo(review: Review, asked: Nothing) -> dict[str, Any]:
    number = review.undo()
    return {"go": number} if number is not None else {"said": "there is nothing to undo"}


def _reread(review: Review, asked: Nothing) -> dict[str, Any]:
    review.read()
    return {"go": 0}


ACTIONS: dict[str, tuple[type[Any], Callable[[Review, Any], int | dict[str, Any] | None]]] = {
    "words": (Worded, _words),
    "approve": (Seen, _approve),
    "doubt": (Numbered, _doubt),
    "drop": (Numbered, _drop),
    "restore": (Numbered, _restore),
    "split": (Halved, _split),
    "undo": (Nothing, _undo),
    "reread": (Nothing, _reread),
}
"""What changes something: the request, and what does it. A number is the one clip that is to be shown anew."""


def act(review: Review, action: str, body: bytes) -> dict[str, Any]:
    """Do what a page asks.

    :raises ValidationError: the request is not what it should be.
    :raises VtuneError: it cannot be done.
    """
    model, do = ACTIONS[action]
    done = do(review, model.model_validate_json(body))
    if isinstance(done, int):
        return {"clip": shown(review, review.clip(done)), "undo": review.undoable()}
    return {**(done or {"go": 0}), "undo": review.undoable()}


def everything(review: Review, *, flagged: bool) -> dict[str, Any]:
    """Return all clips, and what the page needs to know beside."""
    clips = review.clips()
    return {
        "title": clips.root.name or str(clips.root),
        "told": clips.told,
        "flagged": flagged,
        "clips": [shown(review, clip) for clip in list(clips.listed)],
        "undo": review.undoable(),
    }


def shown(review: Review, clip: ReviewClip) -> dict[str, Any]:
    """Return one clip as the page shows it; never a path outside the source's own folder."""
    root = review.clips().root
    name = os.path.relpath(clip.audio, root) if clip.there else clip.audio
    return {
        "n": clip.number,
        "name": name if not name.startswith("..") else os.path.basename(clip.audio),
        "state": clip.state,
        "place": "" if clip.file is None else clip.file.name + (f":{clip.line}" if clip.in_table else ""),
        "text": clip.text,
        "flags": clip.flags,
        "problem": clip.problem,
        "seconds": clip.seconds,
        "there": clip.there,
        "approved": clip.approved,
        "edited": clip.edited,
    }
