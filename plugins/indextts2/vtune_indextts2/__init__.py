"""IndexTTS2 as a vtune engine."""
