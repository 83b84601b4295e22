"""The back end that lets vLLM draw the tokens: one base there, every voice's adapter beside it, sound made here."""

from vtune.serve.vllm.backend import VllmBackend
from vtune.serve.vllm.start import connect, start

__all__ = ["VllmBackend", "connect", "start"]
