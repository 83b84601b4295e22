"""``python -m vtune_cli``, which ``accelerate launch -m`` needs."""

from vtune_cli.main import main

main()
