"""`python -m opnet` is the `opnet` command."""

from opnet.cli.app import main

main()
