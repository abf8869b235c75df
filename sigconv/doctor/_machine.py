"""Devices, and what training on several of them needs."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Iterator
from typing import Any

import torch

from sigconv import console
from sigconv.doctor import _torch

LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells its processes
SHOWN = (*LAUNCHED, "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "SLURM_NTASKS", "NCCL_DEBUG", "NCCL_SOCKET_IFNAME")


def devices() -> Iterator[str]:
    """The CPU, and the GPUs torch can use, each with its name behind."""
    yield "cpu"
    if _torch.quietly(torch.cuda.is_available)[0]:
        yield from (f"cuda:{n} {_about(n).get('name', 'without a name')}" for n in range(torch.cuda.device_count()))


def _about(n: int) -> dict[str, Any]:
    """A GPU's name, capability and memory; what it said instead, where it did not answer."""
    try:
        found = torch.cuda.get_device_properties(n)
    except (RuntimeError, AssertionError) as error:
        return {"said": console.one_line(error, 200)}
    supported = _supported(found.major, found.minor, torch.cuda.get_arch_list())
    row = {"name": found.name, "capability": f"{found.major}.{found.minor}", "memory_bytes": found.total_memory}
    return row | {"supported": supported}


def processor() -> str:
    """What the CPU calls itself, and the instructions torch found in it."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def gpus() -> dict[str, Any]:
    """Each GPU's name, capability and memory; the libraries torch uses there; what torch said when it was asked."""
    usable, said = _torch.quietly(torch.cuda.is_available)
    found: dict[str, Any] = {"usable": usable, "said": said, "built_for": torch.version.cuda or torch.version.hip}
    found["driver_seen"] = os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None
    found |= {"cudnn": None, "nccl": None, "each": []}
    if usable:
        found |= {"cudnn": _torch.quietly(torch.backends.cudnn.version)[0], "nccl": _nccl()}
        for n in range(torch.cuda.device_count()):
            about = _about(n)
            found["said"] += [f"cuda:{n}: {about.pop('said')}"] if "said" in about else []
            found["each"].append(dict.fromkeys(("name", "capability", "memory_bytes", "supported")) | about)
            found["each"][-1]["device"] = f"cuda:{n}"
    return found


def _nccl() -> str | None:
    try:
        return ".".join(map(str, torch.cuda.nccl.version()))
    except (AttributeError, RuntimeError, TypeError):
        return None


def _supported(major: int, minor: int, architectures: list[str]) -> bool:
    """Whether torch was compiled for this GPU: for its generation and no newer, or for any that a driver can translate.

    >>> _supported(9, 0, ["sm_80", "sm_90a"]), _supported(12, 0, ["sm_80", "sm_90"]), _supported(8, 6, ["sm_80"])
    (True, False, True)
    """
    for name in architectures:
        kind, _, text = name.partition("_")
        code = int(re.sub(r"\D", "", text) or 0)
        if kind == "compute" and code <= 10 * major + minor:
            return True
        if kind != "compute" and code // 10 == major and code % 10 <= minor:
            return True
    return not architectures or torch.version.hip is not None


def distributed() -> dict[str, Any]:
    """Whether processes can train together here: torch's backends, Fabric, and what a launcher told this one."""
    import torch.distributed as dist

    found: dict[str, Any] = {"available": dist.is_available(), "backends": []}
    if found["available"]:
        kinds = {"gloo": dist.is_gloo_available, "nccl": dist.is_nccl_available, "mpi": dist.is_mpi_available}
        found["backends"] = [name for name, there in kinds.items() if there()]
    names = ("lightning_fabric", "lightning")
    found["fabric"] = next((name for name in names if importlib.util.find_spec(name)), None)
    found["variables"] = {name: os.environ[name] for name in SHOWN if name in os.environ}
    return found


def complaints(gpu: dict[str, Any], together: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is wrong with these, each with its remedy."""
    if gpu["driver_seen"] and not gpu["built_for"]:
        remedy = "install torch's CUDA build: its selector is on pytorch.org"
        yield {"what": "a GPU's driver is here, and this torch was built for CPUs", "remedy": remedy}
    elif gpu["driver_seen"] and not gpu["usable"]:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f"CUDA_VISIBLE_DEVICES={hidden!r}" if hidden is not None else f"torch was built for {gpu['built_for']}"
        yield {"what": f"a GPU's driver is here, and torch sees no GPU ({why})", "remedy": "see nvidia-smi and these"}
    for line in gpu["said"]:
        yield {"what": f"torch says of CUDA: {line}", "remedy": "the driver or the build of torch: see nvidia-smi"}
    for row in gpu["each"]:
        if row["supported"] is False:
            what = f"{row['device']} has capability {row['capability']}: this torch was not built for it"
            yield {"what": what, "remedy": "install a build of torch for it: see pytorch.org"}
    told = [name for name in LAUNCHED if name in together["variables"]]
    if told and len(told) < len(LAUNCHED):
        missing = ", ".join(name for name in LAUNCHED if name not in told)
        yield {"what": f"a launcher set {', '.join(told)} and not {missing}", "remedy": "start with torchrun, or unset"}
    if "nccl" not in together["backends"] and len(gpu["each"]) > 1:
        yield {"what": f"{len(gpu['each'])} GPUs and no nccl", "remedy": "install torch's CUDA build for Linux"}
