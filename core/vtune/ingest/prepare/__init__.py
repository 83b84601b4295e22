"""Cut raw recordings into clips: analyse each recording, cut in its pauses, set the level, record the result."""

from vtune.ingest.prepare.folder import prepare_folder, recordings_of
from vtune.ingest.prepare.report import PrepareReport
from vtune.ingest.prepare.settings import CutSettings

__all__ = ["CutSettings", "PrepareReport", "prepare_folder", "recordings_of"]
