"""What mkdocs calls while it builds: pages that are made are added, Python in pages is run, its pictures are kept."""

from __future__ import annotations

import posixpath
from typing import Any

import api  # mkdocs finds what lies beside this file
import blocks
import lectures
import performance
import results
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

MADE = (api, lectures, performance, results)  # each has pages() -> {place: Markdown}
RUNS: dict[str, blocks.Run] = {}  # by page, of this build


def on_files(files: Any, config: Any) -> Any:
    """Pages that are made from the code, the tests, benchmarks and runs; what written pages run, and its pictures."""
    written = {one.src_uri: one.content_string for one in files.documentation_pages() if one.generated_by is None}
    for module in MADE:
        for place, content in module.pages().items():
            files.append(File.generated(config, place, content=content))
    RUNS.clear()
    try:
        RUNS.update(blocks.run_all({place: text for place, text in written.items() if blocks.blocks(text)}))
    except RuntimeError as error:
        raise PluginError(str(error)) from None
    for place, text in written.items():
        for name in blocks.pictures(text):
            _keep(files, config, place, name)
    return files


def _keep(files: Any, config: Any, page: str, name: str) -> None:
    """A picture that a page shows: its program left it, or it lies there."""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(page), name))
    if page in RUNS and name in RUNS[page].files:
        files.append(File.generated(config, place, content=RUNS[page].files[name]))
    elif files.get_file_from_path(place) is None:
        raise PluginError(
            f"{page} shows {name}, which neither its Python saves nor docs/ holds: make it or take it out"
        )


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """What the page's Python printed."""
    done = RUNS.get(page.file.src_uri)
    return blocks.told(markdown, done.printed) if done else markdown
