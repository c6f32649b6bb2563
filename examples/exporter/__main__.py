"""`python -m examples.exporter`, from the repository's root."""

from examples.exporter.server import main

main()
