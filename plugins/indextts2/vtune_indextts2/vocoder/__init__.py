"""Turn log-mel spectrograms ``[B, bins, T]`` into sound with BigVGAN v2."""
