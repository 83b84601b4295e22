"""Write voices: the folder that vtune keeps of a voice, and folders that other software loads.

``vtune.export.export`` writes a voice for one of ``vtune.export.targets``, ``vtune.export.merge`` folds an adapter into
its base, ``voice_folder`` and ``mixed_voice`` write vtune's own folders. Nothing is imported here: ``vtune export
--help`` reads the targets, and evaluation, which the card needs, takes seconds to import.
"""
