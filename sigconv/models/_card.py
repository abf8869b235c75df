"""The model card: a page for whoever finds a folder of weights and wonders what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from sigconv import __version__
from sigconv.models._discovery import architecture, names
from sigconv.models._record import usual_shape

PAGE = """---
library_name: sigconv
tags:
- sigconv
- {model}
# license: to be filled in, such as apache-2.0
---

# {title}

{summary}

| | |
|---|---|
| architecture | `{model}`, variant `{variant}` |
| options | {options} |
| parameters | {parameters:,}, {kinds} |
| input | {shape} |
| written by | sigconv {version} |
| licence | *to be filled in by whoever shares these weights* |

## Use

```python
from sigconv import models
model = models.from_pretrained("this folder")
answer = model(x)  # x: {shape}
```
{metrics}"""


def card(record: Mapping[str, Any], model: nn.Module, metrics: Mapping[str, Any]) -> str:
    """A folder's README.md: what the model is, takes and scored, how it is loaded, a blank for the licence.

    >>> from sigconv import models
    >>> net = models.build("lenet:modern")
    >>> "(batch, 1, 32, 32)" in card(net.built_from, net, {"accuracy": 0.99})
    True
    """
    try:
        shape: tuple[Any, ...] = usual_shape(model)
    except ValueError:  # a pattern of layers that take any size
        shape = ("batch", record["options"]["in_channels"], *(["any"] * record["options"]["ndim"]))
    options = ", ".join(f"`{key}={value}`" for key, value in record["options"].items()) or "none"
    kinds = sorted({str(value.dtype).removeprefix("torch.") for value in model.parameters()})
    known = record["model"] in names()
    told = (architecture(record["model"]).__doc__ or "").splitlines()[0] if known else "A network written as a word."
    summary = re.sub(
        r" \((?:[A-Z]+\d+(?:, )?)+\)", "", told
    )  # without the requirements it meets, which mean nothing there
    return PAGE.format(
        **{key: record[key] for key in ("model", "variant")},
        title=f"{record['model']} {record['variant']}",
        summary=summary,
        options=options,
        parameters=sum(value.numel() for value in model.parameters()),
        kinds=", ".join(kinds) or "no numbers",
        shape=f"({', '.join(['batch', *map(str, shape[1:])])})",
        version=__version__,
        metrics=_table(metrics),
    )


def _table(metrics: Mapping[str, Any]) -> str:
    """Names and numbers, under a heading of their own; nothing where there are none."""
    if not metrics:
        return ""
    rows = [f"| {name} | {f'{value:.4f}' if isinstance(value, float) else value} |" for name, value in metrics.items()]
    return "\n".join(["\n## Metrics\n", "| metric | value |", "|---|---|", *rows]) + "\n"
