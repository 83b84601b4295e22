"""Turn raw recordings into a folder of clips with their words: cut the recordings, then transcribe the clips."""
