"""Voices over HTTP, as OpenAI's speech API speaks (the optional extra ``serve``)."""

from vtune.serve.backend import Backend, BackendLoad, SynthesisRequest
from vtune.serve.registry import RequestedVoice, VoiceRegistry
from vtune.serve.serve import serve
from vtune.serve.settings import ServeSettings, read_settings

__all__ = [
    "Backend",
    "BackendLoad",
    "RequestedVoice",
    "ServeSettings",
    "SynthesisRequest",
    "VoiceRegistry",
    "read_settings",
    "serve",
]
