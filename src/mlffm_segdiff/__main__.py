"""``python -m mlffm_segdiff`` is the command ``mlffm-segdiff``."""

from mlffm_segdiff.cli.app import main

main()
