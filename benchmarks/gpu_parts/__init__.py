"""The parts of ``gpu.py``: what is measured, how a part runs in a process of its own, and how the results are shown."""
