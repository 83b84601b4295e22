"""What engines may use: LoRA adapters, packed attention, files of models, pauses."""
