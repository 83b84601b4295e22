"""The weights of the speaker encoder, ``weights.safetensors``; ``README.md`` says where they come from."""
