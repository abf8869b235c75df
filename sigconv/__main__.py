"""python -m sigconv is sigconv."""

from sigconv.cli import main

main()
