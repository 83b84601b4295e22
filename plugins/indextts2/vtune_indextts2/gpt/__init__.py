"""Text to semantic codes: the GPT of IndexTTS2, the encoders that condition it, and how codes are drawn from it."""
