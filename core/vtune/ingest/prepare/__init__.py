"""Raw recordings to clips: each is listened to once, cut in its pauses, levelled and written; all is accounted for."""

from vtune.ingest.prepare.folder import prepare_folder, recordings_of
from vtune.ingest.prepare.report import Report
from vtune.ingest.prepare.settings import Cutting

__all__ = ["Cutting", "Report", "prepare_folder", "recordings_of"]
