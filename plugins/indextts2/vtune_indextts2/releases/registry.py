"""The releases by name."""

from __future__ import annotations

from vtune_indextts2.releases.detection import ReleaseName
from vtune_indextts2.releases.indextts_2_0 import IndexTTS20
from vtune_indextts2.releases.indextts_2_5 import IndexTTS25
from vtune_indextts2.releases.interface import Release

RELEASES: dict[ReleaseName, Release] = {"2.0": IndexTTS20(), "2.5": IndexTTS25()}
