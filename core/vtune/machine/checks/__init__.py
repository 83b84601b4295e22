"""The checks of the machine, one module each: a new check is a new file with a ``CHECK``."""
