"""What mkdocs calls while it builds: pages that are made are added, Python in pages is run, its pictures are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import api  # mkdocs finds what lies beside this file
import blocks
import lectures
import performance
import results
from mkdocs.structure.files import File

MADE = (api, lectures, performance, results)  # each has pages() -> {place: Markdown}


def on_files(files: Any, config: Any) -> Any:
    """Pages that are made from the code, the tests, benchmarks and runs."""
    for module in MADE:
        for place, content in module.pages().items():
            files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Run the page's Python."""
    if not blocks.blocks(markdown) or page.file.generated_by is not None:
        return markdown
    done = blocks.run(markdown, page.file.src_uri)
    for name in blocks.pictures(markdown):
        if name in done.files:
            place = str(Path(page.file.src_uri).parent / name)
            files.append(File.generated(config, place, content=done.files[name]))
    return blocks.told(markdown, done.printed)
