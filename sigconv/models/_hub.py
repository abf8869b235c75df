"""Folders of models fetched from the Hugging Face hub and sent to it, by huggingface_hub where it is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sigconv import console

FILES = ("config.json", "model.safetensors", "README.md")
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def pull(name: str, revision: str | None = None) -> Path:
    """The three files of "org/name" in huggingface_hub's cache, and no other file of it.

    FileNotFoundError for what is no id, ImportError without the extra, OSError for what the hub will not give.
    """
    if not NAME.fullmatch(name):
        raise FileNotFoundError(f"there is no folder {name[:200]!r}, nor is it an id of the hub, such as org/name")
    hub = _library(f"there is no folder {name!r}, and to fetch {name} from the hub")
    try:
        return Path(hub.snapshot_download(repo_id=name, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:  # the network has many ways to fail
        raise OSError(f"{name} cannot be fetched from the hub: {console.one_line(error, 300)}") from None


def push(folder: Path, name: str, private: bool | None) -> str:
    """Make the repository "org/name" unless it is there, send the three files; where they are to be seen."""
    if not NAME.fullmatch(name):
        raise ValueError(f"name {name[:200]!r} is not an id of the hub: expected one such as org/name")
    hub = _library(f"to send {name} to the hub")
    try:
        api = hub.HfApi()
        api.create_repo(repo_id=name, private=private, exist_ok=True)
        sent = api.upload_folder(repo_id=name, folder_path=str(folder), allow_patterns=list(FILES))
    except Exception as error:  # the network has many ways to fail
        raise OSError(f"{name} cannot be sent to the hub: {console.one_line(error, 300)}") from None
    return str(sent)


def _library(purpose: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(f'{purpose} needs huggingface_hub: pip install "sigconv[hub]"') from None
    return huggingface_hub
