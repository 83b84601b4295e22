"""Sample sound tokens from a server of language models, and keep each token in its slot.

Such a server does not know slots. It samples freely, which costs nothing as long as the network keeps to the slots, and
a trained network does. A token in a wrong slot is dropped with all tokens after it, and the slot is sampled again from
its own codes only. At temperature 0 this gives exactly the tokens of a mask: if the most likely token of all is one of
the slot's codes, it is also the most likely code of the slot. Above 0 it gives the same distribution, except for the
tokens that top-p counts.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from vtune import EngineError, SamplingRequest, TokenSampler
from vtune_orpheus.layout import Layout
from vtune_orpheus.sampling import OrpheusSampling


def sample_from_server(
    sampler: TokenSampler, layout: Layout, prompt: list[int], sampling: OrpheusSampling, max_tokens: int, seed: int
) -> Generator[int, None, None]:
    """Yield tokens of a server; see ``vtune_orpheus.sampling.SoundTokens``.

    :raises EngineError: the server returns a token that it was not allowed to, or none at all.
    """
    end_of_speech, tokens, unrestricted = layout.end_of_speech, list[int](), True
    while len(tokens) < max_tokens:
        start = len(tokens)
        codes, may_end = layout.allowed(start)
        request = SamplingRequest(
            prompt=[*prompt, *tokens],
            seed=seed + start,
            max_tokens=max_tokens - start if unrestricted else 1,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            stop=(end_of_speech,),
            allowed=None if unrestricted else [*codes, *([end_of_speech] if may_end else [])],
        )
        wrong_slot = False
        with closing(sampler(request)) as stream:
            for token in stream:
                codes, may_end = layout.allowed(len(tokens))
                if token not in codes and not (may_end and token == end_of_speech):
                    wrong_slot = True
                    break
                tokens.append(token)
                yield token
                if token == end_of_speech:
                    return
        if not unrestricted and wrong_slot:
            raise EngineError(f"the server returned token {token}, which is not among the allowed tokens")
        if not wrong_slot and len(tokens) == start:
            raise EngineError("the server returned no token")
        unrestricted = not wrong_slot
