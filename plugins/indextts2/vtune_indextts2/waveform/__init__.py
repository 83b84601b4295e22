"""Sound to what the networks listen to: sample rates, Kaldi filter banks, log-mel spectrograms."""
