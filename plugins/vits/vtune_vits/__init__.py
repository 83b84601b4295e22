"""VITS and Piper as a vtune engine: a text encoder, a flow and a vocoder in one network, tuned with LoRA or whole."""
