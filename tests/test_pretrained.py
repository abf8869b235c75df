"""Folders of trained models: the same bits come back, damage is told in one line, nothing in a folder is ever run."""

import contextlib
import copy
import hashlib
import json
import os
import re
import struct
import sys
import types

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from sigconv import models
from sigconv.models import _common, from_pretrained, save_pretrained

TRIP = [
    ("mnist1d", {"ndim": 1, "size": 15}),
    ("mnist1d:mlp", {"ndim": 2, "size": 15}),
    ("lenet:1998", {"ndim": 2, "output": "linear", "padding": [[2, 1], [0, 3]]}),
    ("resnet:18", {"ndim": 1, "width": 1 / 16, "stem": "small", "shortcut": "A"}),
    ("resnet:18", {"ndim": 3, "width": 1 / 16, "activation": "prelu"}),
    ("vgg:A", {"ndim": 3, "width": 1 / 64, "batch_norm": True, "parts": 1}),
    ("autoencoder:tied", {"ndim": 2, "channels": (8, 4)}),
    ("localizer:several", {"ndim": 1, "width": 1 / 4}),
]


def small(**options):
    return models.build("mnist1d", **{"size": 15, "classes": 3} | options)


def trained(spec, options):
    """A model whose weights and statistics are no longer those of its beginning."""
    torch.manual_seed(1)
    model = models.build(spec, **options)
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            if value.is_floating_point():
                value.add_(torch.rand_like(value) / 10)
    return model.eval()


@pytest.fixture
def folder(tmp_path):
    return save_pretrained(small(), tmp_path / "net")


@pytest.mark.parametrize(("spec", "options"), TRIP)
def test_a_model_comes_back_with_the_same_bits(tmp_path, spec, options):
    model = trained(spec, options)
    folder = save_pretrained(model, tmp_path / "a" / "net", metrics={"accuracy": 0.987654, "items": 12})
    assert sorted(os.listdir(folder)) == ["README.md", "config.json", "model.safetensors"]
    assert os.listdir(tmp_path / "a") == ["net"]
    again = from_pretrained(folder)
    assert not again.training
    assert str(again) == str(model)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))
    x = torch.randn(models.input_shape(spec, ndim=options["ndim"], batch=2, smallest=True))
    with torch.no_grad():
        assert torch.equal(again(x), model(x))
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in model.parameters()]
    assert json.loads(json.dumps(again.built_from)) == json.loads(json.dumps(model.built_from))
    save_pretrained(again, tmp_path / "b", metrics={"accuracy": 0.987654, "items": 12})
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "b" / name).read_bytes() == (folder / name).read_bytes()


EVERY = [f"{name}:{variant}" for name in models.names() for variant in models.architecture(name).VARIANTS]


@pytest.mark.parametrize("spec", EVERY)
def test_every_model_knows_what_it_was_built_from(spec):
    name, variant = spec.split(":")
    with torch.device("meta"):
        model = models.build(spec, ndim=2, width=1 / 16)
    record = copy.deepcopy(model).built_from
    assert (record["model"], record["variant"]) == (name, variant)
    assert record["options"] | {"ndim": 2, "width": 1 / 16} == record["options"]
    assert set(record["options"]) == set(models.architecture(name).build.__kwdefaults__)
    assert models._pretrained.described(model)["options"]["ndim"] == 2, "and what it says is true"


def test_a_pattern_comes_back_too(tmp_path):
    model = models.from_pattern("CRCRP CRP F32 R", 2, 4, ndim=3, channels=(3, 4, 5), size=8).eval()
    again = from_pretrained(save_pretrained(model, tmp_path / "net"))
    x = torch.randn(2, 2, 8, 8, 8)
    assert torch.equal(again(x), model(x))
    assert json.loads((tmp_path / "net" / "config.json").read_text())["model"] == "from_pattern"
    card = (save_pretrained(models.from_pattern("CRP", 3), tmp_path / "any") / "README.md").read_text()
    assert "(batch, 3, any, any)" in card


def test_every_dtype_comes_back_and_whole_numbers_of_numpy_are_plain(tmp_path):
    import numpy as np

    for kind in (torch.float64, torch.float16, torch.bfloat16):
        model = models.build("resnet:18", ndim=1, width=1 / 64, classes=np.int64(3)).to(kind)
        again = from_pretrained(save_pretrained(model, tmp_path / "net"))
        assert {p.dtype for p in again.parameters()} == {kind}
        assert again.bn1.num_batches_tracked.dtype == torch.int64
        assert torch.equal(again.fc.weight, model.fc.weight)


def test_loading_draws_no_random_numbers_of_the_users(folder):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    from_pretrained(folder)
    assert torch.equal(torch.rand(3), expected)


def test_what_torch_compile_wraps_is_saved_as_it_was(tmp_path):
    model = small()
    wrapped = nn.Module()
    wrapped._orig_mod = model  # where torch.compile keeps it; compiling takes seconds
    again = from_pretrained(save_pretrained(wrapped, tmp_path / "net"))
    assert torch.equal(again[0].weight, model[0].weight)


def test_the_card_tells_what_a_stranger_asks(tmp_path):
    card = (save_pretrained(small(), tmp_path / "net", metrics={"accuracy": 0.987654}) / "README.md").read_text()
    assert "AR21" not in card
    count = sum(p.numel() for p in small().parameters())
    for part in (
        "# mnist1d cnn",
        f"{count:,}, float32",
        "(batch, 1, 15)",
        "from_pretrained",
        "0.9877",
        "to be filled in",
    ):
        assert part in card


def test_a_model_of_another_make_or_changed_since_is_refused_in_one_line(tmp_path):
    def refused(model, pattern):
        with pytest.raises(ValueError, match=pattern) as error:
            save_pretrained(model, tmp_path / "net")
        assert "\n" not in str(error.value)
        assert os.listdir(tmp_path) == []

    refused(nn.Sequential(nn.Linear(2, 2)), r"a Sequential that sigconv.models did not build .* models.export")
    refused(models.autoencoder.build(ndim=1).classifier(), "did not build")
    refused(small()[:-1], "did not build")
    refused(small(activation=nn.ReLU), "option activation .* is not a plain value .* models.export")
    wider = models.build("resnet:18", ndim=1, width=1 / 64)
    wider.fc = nn.Linear(wider.fc.in_features, 7)
    refused(wider, r"resnet:18 was changed since it was built \(fc.weight is \(7, 8\), and was \(1000, 8\)\)")
    other = small()
    other[1] = nn.Tanh()
    refused(other, r"was changed since it was built \(\(1\): Tanh\(\) was \(1\): ")
    with torch.device("meta"):
        empty = small()
    refused(empty, "on the meta device")


def test_a_folder_is_replaced_only_if_it_is_one_of_these(tmp_path, folder):
    wide = save_pretrained(small(width=2), folder)
    assert from_pretrained(wide).built_from["options"]["width"] == 2
    for content in ({"notes.txt": "mine"}, {"config.json": "{}"}, {"config.json": '{"sigconv": 1}', "x": ""}):
        mine = tmp_path / "mine"
        mine.mkdir()
        for name, text in content.items():
            (mine / name).write_text(text)
        with pytest.raises(FileExistsError, match="mine' "):
            save_pretrained(small(), mine)
        assert {path.name: path.read_text() for path in mine.iterdir()} == content
        for path in mine.iterdir():
            path.unlink()
        mine.rmdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        save_pretrained(small(), tmp_path / "file")
    (tmp_path / "empty").mkdir()
    save_pretrained(small(), tmp_path / "empty")
    (tmp_path / "link").symlink_to(folder)
    save_pretrained(small(width=3), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert from_pretrained(folder).built_from["options"]["width"] == 3
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "link", "net"]


def test_a_readme_of_a_persons_hand_stays_and_one_of_ours_does_not(folder):
    save_pretrained(small(), folder, metrics={"accuracy": 0.5})
    assert "0.5000" in (folder / "README.md").read_text()
    (folder / "README.md").write_text("licence: MIT")
    for score in (0.6, 0.7):
        save_pretrained(small(), folder, metrics={"accuracy": score})
        assert (folder / "README.md").read_text() == "licence: MIT"


def test_a_save_that_fails_leaves_the_folder_as_it_was(folder, monkeypatch):
    """Whatever call of the system fails, the folder is the old one or the new one, and nothing lies about."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in ("replace", "fsync", "mkdir"):
        real, left = getattr(os, name), [0]

        def failing(*args, real=real, left=left, **options):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(28, "No space left on device")
            return real(*args, **options)

        for n in range(1, 9):
            left[0] = n
            with monkeypatch.context() as patch:
                patch.setattr(os, name, failing)
                with contextlib.suppress(OSError):
                    save_pretrained(small(width=2), folder)
            found = {path.name: path.read_bytes() for path in folder.iterdir()}
            if found != before:
                assert from_pretrained(folder).built_from["options"]["width"] == 2
                save_pretrained(small(), folder)
                before = {path.name: path.read_bytes() for path in folder.iterdir()}
            assert os.listdir(folder.parent) == ["net"]


PICKLE = b"cos\nmkdir\n(S'planted'\ntR."  # which calls os.mkdir("planted") for whoever unpickles it


def edited(**changes):
    def damage(folder):
        config = json.loads((folder / "config.json").read_text())
        for key, value in changes.items():
            config[key] = config[key] | value if isinstance(value, dict) else value
        (folder / "config.json").write_text(json.dumps(config))

    return damage


def written(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def weights(change):
    """Other tensors, with a digest that is right: whoever makes such a file can count."""

    def damage(folder):
        tensors = load((folder / "model.safetensors").read_bytes())
        change(tensors)
        content = save(tensors)
        (folder / "model.safetensors").write_bytes(content)
        edited(sha256=hashlib.sha256(content).hexdigest())(folder)

    return damage


def header(**tensor):
    """A safetensors file that says this of its one tensor."""
    text = json.dumps({"0.weight": {"dtype": "F32", "shape": [15, 1, 3], "data_offsets": [0, 180]} | tensor}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(180)


def flipped(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-7] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


def piped(folder):
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


DAMAGE = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "it has no config.json"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "it has no model.safetensors"),
    "config cut": (written("config.json", b'{"sigconv": "0.1.0", "mod'), "config.json is not JSON"),
    "config not text": (written("config.json", b"\xff\xfe\x00"), "config.json is not JSON"),
    "config deep": (written("config.json", b"[" * 100_000), "config.json is not JSON"),
    "config huge": (written("config.json", b" " * (2 << 20)), "more than the 1048576 read at once"),
    "config of others": (written("config.json", b'{"architectures": ["Bert"]}'), "is not one of sigconv's"),
    "config a list": (written("config.json", b"[]"), "is not one of sigconv's"),
    "newer": (edited(format=2, sigconv="9.9"), r"sigconv 9.9 wrote it in format 2, and this one reads up to 1: update"),
    "format text": (edited(format="1"), "format '1' is not a number"),
    "format true": (edited(format=True), "format 'True' is not a number"),
    "unknown model": (edited(model="resnext"), "model 'resnext' is not one of"),
    "a private file": (edited(model="_common"), "model '_common' is not one of"),
    "a path": (edited(model="os.path"), "model 'os.path' is not one of"),
    "a class": (edited(model=["os.mkdir"]), "must be texts"),
    "unknown variant": (edited(variant="huge"), "mnist1d variant 'huge' is not one of"),
    "unknown option": (edited(options={"_target_": "os.mkdir"}), "mnist1d option '_target_' is not one of"),
    "an activation of code": (edited(options={"activation": "os.mkdir"}), "activation 'os.mkdir' is not one of"),
    "an option of code": (edited(options={"activation": {"f": 1}}), "option activation .* is not a plain value"),
    "options that are none": (edited(options=["os.mkdir"]), "options name: value"),
    "a huge option": (
        edited(options={"classes": 1 << 40}),
        "option classes 1099511627776 is more than any model needs",
    ),
    "a large option": (edited(options={"classes": 1 << 20}), r"7.weight is \(3, 15\), and the model's \(1048576, 15\)"),
    "many axes": (edited(options={"ndim": 1000}), "option ndim 1000 is more than any model needs: expected 16"),
    "infinite": (edited(options={"width": float("inf")}), "option width inf"),
    "another variant": (edited(variant="mlp"), "model.safetensors has no tensor '1.weight'"),
    "other shapes": (edited(options={"width": 2}), r"0.weight is \(15, 1, 3\), and the model's \(30, 1, 3\)"),
    "a flipped bit": (flipped, "model.safetensors was changed since it was saved"),
    "no digest": (edited(sha256=None), "model.safetensors was changed since it was saved"),
    "weights cut": (cut, "model.safetensors is not a safetensors file"),
    "weights empty": (written("model.safetensors", b""), "model.safetensors is not a safetensors file"),
    "weights zeroed": (written("model.safetensors", bytes(999)), "model.safetensors is not a safetensors file"),
    "a pickle": (written("model.safetensors", PICKLE), "model.safetensors is not a safetensors file"),
    "a header that lies": (written("model.safetensors", header(shape=[1 << 40, 1, 3])), "is not a safetensors file"),
    "an offset that lies": (
        written("model.safetensors", header(data_offsets=[0, 1 << 60])),
        "is not a safetensors file",
    ),
    "a tensor missing": (weights(lambda t: t.pop("7.bias")), "has no tensor '7.bias'"),
    "a tensor more": (weights(lambda t: t.update(more=torch.ones(2))), "has a tensor 'more', which the model has not"),
    "whole numbers": (weights(lambda t: t.update({"7.bias": torch.ones(3, dtype=torch.int64)})), "7.bias holds I64"),
    "a pipe": (piped, "is not a regular file"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_r16_a_bad_folder_is_refused_in_one_line_and_nothing_runs(folder, kind, monkeypatch):
    monkeypatch.chdir(folder.parent)
    damage, reason = DAMAGE[kind]
    damage(folder)
    with pytest.raises(ValueError, match=f"pretrained folder .* cannot be used: .*{reason}") as error:
        from_pretrained(folder)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert not os.path.exists("planted")


def test_huge_models_are_refused_before_memory_is_asked_for(folder):
    for model, variant, options in (
        ("from_pattern", "(C9D4096)*1000", {"in_channels": 1 << 20}),
        ("lenet", "1998", {"classes": 1 << 20}),
        ("vgg", "E", {"width": 64, "in_channels": 1 << 20}),
    ):
        config = json.loads((folder / "config.json").read_text()) | {"model": model, "variant": variant}
        (folder / "config.json").write_text(json.dumps(config | {"options": options}))
        with pytest.raises(ValueError, match="cannot be used: "):
            from_pretrained(folder)


def test_load_weights_takes_a_runs_file_and_nothing_else(folder, tmp_path):
    path = folder / "model.safetensors"
    model = models.load_weights(small().double(), path)
    assert torch.equal(model[0].weight, from_pretrained(folder)[0].weight.double())
    before = copy.deepcopy(model.state_dict())
    pickle = b"\x80\x02}q\x00X\x01\x00\x00\x00xq\x01K\x01s."
    (tmp_path / "a.safetensors").write_bytes(pickle)
    for other, reason in ((save_pretrained(small(width=2), tmp_path / "wide") / path.name, "0.weight is"),):
        with pytest.raises(ValueError, match=reason):
            models.load_weights(model, other)
    with pytest.raises(ValueError, match=r"a.safetensors is not a safetensors file"):
        models.load_weights(model, tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError):
        models.load_weights(model, tmp_path / "none.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_usual_shapes():
    assert models.usual_shape(small(ndim=2)) == (1, 1, 15, 15)
    assert models.usual_shape(models.from_pattern("CRF3", 2, ndim=1, size=9)) == (1, 2, 9)
    with pytest.raises(ValueError, match="was built for any size"):
        models.usual_shape(models.from_pattern("CR", 2))
    with pytest.raises(ValueError, match="has no usual shape"):
        models.usual_shape(nn.ReLU())


class Hub(types.ModuleType):
    """huggingface_hub as far as it is used here, keeping folders in place of repositories."""

    def __init__(self, root):
        super().__init__("huggingface_hub")
        self.root, self.calls = root, []

    def snapshot_download(self, repo_id, *, revision=None, allow_patterns=None):
        self.calls.append(("download", repo_id, revision, tuple(allow_patterns)))
        if not (self.root / repo_id).is_dir():
            raise RuntimeError(f"404 Client Error.\n\nRepository Not Found for {repo_id}")
        return str(self.root / repo_id)

    def HfApi(self):  # noqa: N802  the library's own name
        return self

    def create_repo(self, *, repo_id, private=None, exist_ok=False):
        self.calls.append(("create", repo_id, private, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, allow_patterns=None):
        self.calls.append(("upload", repo_id, folder_path, tuple(allow_patterns)))
        return f"https://hub/{repo_id}"


THREE = ("config.json", "model.safetensors", "README.md")


def test_a_model_is_fetched_from_the_hub_and_sent_to_it(tmp_path, monkeypatch):
    hub = Hub(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    model = small()
    folder = save_pretrained(model, tmp_path / "org" / "net")
    assert torch.equal(from_pretrained("org/net", revision="v1")[0].weight, model[0].weight)
    assert models.push_to_hub(folder, "org/other", private=True) == "https://hub/org/other"
    assert hub.calls == [
        ("download", "org/net", "v1", THREE),
        ("create", "org/other", True, True),
        ("upload", "org/other", str(folder), THREE),
    ]
    with pytest.raises(
        OSError, match=r"org/none cannot be fetched from the hub: 404 Client Error. Repository Not Found"
    ):
        from_pretrained("org/none")
    for name in ("net", "../../nowhere", "a/b/c", "https://x/y", "org/", "org/net\n", "/org"):
        with pytest.raises(FileNotFoundError, match="nor is it an id of the hub"):
            from_pretrained(name)
    with pytest.raises(ValueError, match="not an id of the hub"):
        models.push_to_hub(folder, "net")
    cut(folder)
    with pytest.raises(ValueError, match="cannot be used"):
        models.push_to_hub(folder, "org/other")
    with pytest.raises(ValueError, match="only a model on the hub has one"):
        from_pretrained(folder, revision="v1")
    assert len(hub.calls) == 4


def test_without_the_extra_the_line_that_installs_it_is_told(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    line = re.escape('pip install "sigconv[hub]"')
    with pytest.raises(ImportError, match=line):
        from_pretrained("org/net")
    with pytest.raises(ImportError, match=line):
        models.push_to_hub(folder, "org/net")
    from_pretrained(folder)


def test_defaults_are_written_out():
    @_common.recorded
    def build(variant="a", *, ndim=2):
        return nn.ReLU()

    assert build().built_from["options"] == {"ndim": 2}
    assert build.__kwdefaults__ == {"ndim": 2}
