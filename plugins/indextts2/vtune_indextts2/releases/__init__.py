"""The releases of IndexTTS2 that this engine speaks: how one is recognised, and what differs between them."""
