"""Run blocks of Python, a JSON list in the file that is named, one after the other in one place, a mark after each."""

import json
import sys

MARK = "\x1e"  # ASCII's record separator


def main() -> None:
    """The blocks share their names, as the cells of a notebook do."""
    place, page = sys.argv[1:]
    with open(place, encoding="utf-8") as file:
        blocks = json.load(file)
    names = {"__name__": "__main__"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
        sys.stdout.write(MARK)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
