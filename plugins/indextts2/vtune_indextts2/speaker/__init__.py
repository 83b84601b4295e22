"""Encode who speaks: the CAM++ network maps a filter bank ``[B, T, 80]`` to a speaker embedding ``[B, 192]``."""
