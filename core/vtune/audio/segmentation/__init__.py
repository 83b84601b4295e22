"""Long recordings to clips: where speech is, which pauses to cut in, and which stretches make a clip."""
