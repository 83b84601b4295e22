"""The text front end of IndexTTS-2.5: languages by tag, byte-pair encoding, readings in annotations."""
