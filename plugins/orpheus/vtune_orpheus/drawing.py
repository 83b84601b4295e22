"""Sound tokens that a server of language models draws, held to their slots.

Such a server knows of no slots. It draws as it likes, which costs nothing as long as the network keeps to them, and a
trained one does. A token that does not belong into its slot is dropped with all that follows, and is drawn again from
those that do. Without chance that is what a mask gives, to the token: the likeliest of all, if it is one of the
slot's, is the likeliest of the slot. With chance it is the same distribution, but for what top-p counts.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from vtune import EngineError, SamplingRequest, TokenSampler
from vtune_orpheus.layout import Layout
from vtune_orpheus.sampling import Sampling


def server_tokens(
    draw: TokenSampler, layout: Layout, prompt: list[int], sampling: Sampling, most: int, seed: int
) -> Generator[int, None, None]:
    """Draw tokens from a server; see ``vtune_orpheus.sampling.Tokens``.

    :raises EngineError: the server draws what it was not allowed to, or nothing.
    """
    end, spoken, free = layout.end_of_speech, list[int](), True
    while len(spoken) < most:
        begun = len(spoken)
        codes, may_end = layout.allowed(begun)
        wanted = SamplingRequest(
            prompt=[*prompt, *spoken],
            seed=seed + begun,
            max_tokens=most - begun if free else 1,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            stop=(end,),
            allowed=None if free else [*codes, *([end] if may_end else [])],
        )
        strayed = False
        with closing(draw(wanted)) as drawn:
            for token in drawn:
                codes, may_end = layout.allowed(len(spoken))
                if token not in codes and not (may_end and token == end):
                    strayed = True
                    break
                spoken.append(token)
                yield token
                if token == end:
                    return
        if not free and strayed:
            raise EngineError(f"the server drew token {token}, which it was not allowed to")
        if not strayed and len(spoken) == begun:
            raise EngineError("the server ended without a token")
        free = not strayed
