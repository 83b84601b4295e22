"""The conformance kit: one call that checks an engine against its contract, in its authors' tests and in vtune's own.

def test_engine_keeps_the_contract(tmp_path):
    vtune.testing.check_engine("my_engine", {"base_model": tiny}, tmp_path)
"""

from vtune.testing.conformance import check_engine
from vtune.testing.made_clip import made_clip
from vtune.testing.option_effects import check_options

__all__ = ["check_engine", "check_options", "made_clip"]
