"""Codes to mel: latent projection, length regulator, and a diffusion transformer that is solved as a flow."""
