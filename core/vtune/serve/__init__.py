"""Voices over HTTP, as OpenAI's speech API speaks (the optional extra ``serve``)."""

from vtune.serve.backend import Backend, Load, Wanted
from vtune.serve.registry import Chosen, Registry
from vtune.serve.serve import serve
from vtune.serve.settings import ServeSettings, read_settings

__all__ = ["Backend", "Chosen", "Load", "Registry", "ServeSettings", "Wanted", "read_settings", "serve"]
