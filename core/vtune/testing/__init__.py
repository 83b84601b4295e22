"""The conformance kit: the rules of the contract, which check an engine in its authors' tests and in vtune's own.

test_my_engine_keeps_the_contract = vtune.testing.conformance_tests("my_engine", {"base_model": "tiny_base"})
"""

from vtune.audio.made_speech import MadeSpeaker, write_recordings
from vtune.testing.checkup import Outcome
from vtune.testing.conformance import check_engine, conformance_tests, engine_outcomes
from vtune.testing.made_clip import made_clip
from vtune.testing.option_effects import check_options

__all__ = [
    "MadeSpeaker",
    "Outcome",
    "check_engine",
    "check_options",
    "conformance_tests",
    "engine_outcomes",
    "made_clip",
    "write_recordings",
]
