"""Files made to harm whoever reads them: each is refused in one line, before torch reads it."""

from __future__ import annotations

import io
import random
import struct
import tarfile
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.crafted_checkpoints import (
    ORDERED,
    Call,
    Name,
    Stored,
    opcodes,
    pickled,
    tensor,
    write_archive,
    write_legacy,
)
from shapleycam.errors import ModelError
from shapleycam.models.checkpoint import fill_model, read_checkpoint

FLOATS = struct.pack("<4f", 1, 2, 3, 4)
GOOD = tensor(Stored("0", 4), (4,))


@pytest.fixture
def torch_must_not_read(monkeypatch):
    """Ends a test in which torch reads the file: what is looked for must be seen before."""

    def fail(*args, **options):
        raise AssertionError("torch.load was called")

    monkeypatch.setattr(torch, "load", fail)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"checkpoint {path}: ")
    assert "\n" not in message
    message = message.removeprefix(f"checkpoint {path}: ")
    assert len(message) < 400
    return message


def test_the_crafted_files_are_right_but_for_their_craft(tmp_path):
    for path in (
        write_archive(tmp_path / "a.pth", {"w": GOOD}, {"0": FLOATS}),
        write_legacy(tmp_path / "b.pth", {"w": tensor(Stored("0", 4, view=(None,)), (4,))}, {"0": FLOATS}),
    ):
        assert read_checkpoint(path)["w"].tolist() == [1, 2, 3, 4]


def test_all_that_training_programs_save_beside_weights_is_let_through(tmp_path):
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.8, 0.9))
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 5, 5])
    content = {
        "state_dict": model.state_dict(),
        "parameters": list(model.parameters()),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random": [random.getstate(), torch.get_rng_state()],
        "others": (b"bytes", {1, 2}, 2 + 1j, 2**70, None, True, 0.5, Counter("aab"), OrderedDict(a=1), -3),
        "torch": [torch.Size([2, 3]), torch.float16, torch.device("cuda:1"), torch.zeros(2, dtype=torch.bfloat16)],
        "types": [
            torch.zeros(2, dtype=kind) for kind in (torch.uint16, torch.float8_e4m3fn, torch.complex128, torch.bool)
        ],
        "views": [torch.arange(12).reshape(3, 4).T, torch.ones(1).expand(5), torch.zeros(0, 3), torch.tensor(1.5)],
    }
    older = {name: value for name, value in content.items() if name != "types"}  # torch cannot read those itself
    for name, saved, new in (("a.pth", content, True), ("b.pth", older, False)):
        torch.save(saved, tmp_path / name, _use_new_zipfile_serialization=new)
        weights = read_checkpoint(tmp_path / name)
        assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())


@pytest.mark.usefixtures("torch_must_not_read")
class TestCode:
    def test_a_torchscript_archive(self, tmp_path):
        torch.jit.trace(nn.ReLU(), torch.zeros(1)).save(tmp_path / "script.pth")
        assert refusal(tmp_path / "script.pth").startswith(
            "a TorchScript archive, which holds code, and code of a file"
        )

    @pytest.mark.parametrize("name", ["constants.pkl", "CONSTANTS.PKL", "code/__torch__.py"])
    def test_an_archive_with_a_part_of_torchscript(self, name, tmp_path):
        path = write_archive(tmp_path / "x.pth", {"w": GOOD}, {"0": FLOATS}, **{name: b""})
        assert "TorchScript" in refusal(path)

    def test_an_archive_with_two_directories_of_which_torch_reads_the_other(self, tmp_path):
        path = write_archive(tmp_path / "x.pth", {"w": GOOD}, {"0": FLOATS})
        content = path.read_bytes()
        (start,) = struct.unpack("<I", content[-6:-2])
        path.write_bytes(content[:start] + content[start:-22] + content[start:])
        assert "directory" in refusal(path)

    @pytest.mark.parametrize(
        "function",
        [
            ("os", "system"),
            ("builtins", "eval"),
            ("torch", "load"),
            ("torch.serialization", "load"),
            ("torch.hub", "load"),
        ],
        ids=".".join,
    )
    @pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
    def test_a_call_of_anything_else(self, function, legacy, tmp_path):
        content = {"state_dict": {"w": GOOD}, "args": Call(Name(*function), ("touch it-ran",))}
        path = tmp_path / "x.pth"
        write_legacy(path, content, {"0": FLOATS}) if legacy else write_archive(path, content, {"0": FLOATS})
        message = refusal(path)
        assert message.startswith(
            f"holds a {'.'.join(function)}, and objects are never unpickled; save model.state_dict()"
        )

    @pytest.mark.parametrize("opcode", [b"\x93", b"\x81", b"i", b"o", b"\x82\x01", b"\x8c\x01a"])
    def test_other_ways_to_make_objects(self, opcode, tmp_path):
        path = write_archive(tmp_path / "x.pth", b"\x80\x02" + opcodes("os") + opcodes("system") + opcode + b"\n\n.")
        assert "never unpickled" in refusal(path)

    def test_a_pickle_that_torch_did_not_write(self, tmp_path):
        (tmp_path / "x.pkl").write_bytes(pickled(Call(Name("os", "system"), ("true",))))
        assert refusal(tmp_path / "x.pkl").startswith("holds a os.system, and objects are never unpickled")

    def test_the_tar_form_of_old_torch(self, tmp_path):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            info = tarfile.TarInfo("storages")
            archive.addfile(info)
        (tmp_path / "x.pth").write_bytes(file.getvalue())
        assert refusal(tmp_path / "x.pth").startswith("a tar archive, the form of torch before 2017")


@pytest.mark.usefixtures("torch_must_not_read")
class TestMemoryAndTime:
    def test_an_archive_that_is_compressed(self, tmp_path):
        path = write_archive(tmp_path / "x.pth", {"w": GOOD}, {"0": bytes(1 << 22)}, zipfile.ZIP_DEFLATED)
        assert "is compressed, which torch.save does not do" in refusal(path)

    def test_members_that_lie_over_each_other(self, tmp_path):
        path = write_archive(tmp_path / "x.pth", {"w": GOOD}, {"0": FLOATS, "1": bytes(1 << 12)})
        content = bytearray(path.read_bytes())
        place = content.rindex(b"x/data/0") - 46  # in the directory, after the sizes
        content[place + 20 : place + 28] = struct.pack("<II", 1 << 13, 1 << 13)
        path.write_bytes(content)
        assert "its members have" in refusal(path)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ({"w": tensor(Stored("0", 1 << 40), (4,))}, "storage '0' is of 16 bytes, expected 4,398,046,511,104 bytes"),
            ({"w": tensor(Stored("0", 3), (3,))}, "storage '0' is of 16 bytes, expected 12 bytes"),
            ({"w": tensor(Stored("7", 4), (4,))}, "storage '7' is missing, expected 16 bytes"),
            ({"w": tensor(Stored("0", 4), (1 << 40,))}, "reaches beyond its storage"),
            ({"w": tensor(Stored("0", 4), (2, 2), (1 << 40, 1))}, "reaches beyond its storage"),
            ({"w": tensor(Stored("0", 4), (4,), offset=1)}, "reaches beyond its storage"),
            ({"w": tensor(Stored("0", 4), (4,), (-1,), offset=3)}, "reaches beyond its storage"),
            ({"w": tensor(Stored("0", -4), (4,))}, "of two sizes, or of a negative one"),
            ({"w": GOOD, "v": tensor(Stored("0", 2, Name("torch", "HalfStorage")), (2,))}, "of two sizes"),
            ({"w": GOOD, "x": Call(Name("builtins", "bytearray"), (1 << 40,))}, "holds a builtins.bytearray"),
            ({"w": Call(Name("torch", "FloatTensor"), (1 << 30,))}, "holds a torch.FloatTensor"),
            ({"w": Call(Name("torch", "Tensor"), (1 << 30,))}, "holds a torch.Tensor"),
            ({"w": Call(Name("torch", "FloatStorage"), (1 << 30,))}, "holds a call of torch.FloatStorage"),
            (
                {"w": tensor(Call(Name("torch.storage", "UntypedStorage"), (1 << 30,)), (4,))},
                "holds a call of torch.storage",
            ),
            (
                {"w": Call(Name("_codecs", "encode"), ("é" * 99999, "punycode"))},
                "holds a text in the encoding 'punycode'",
            ),
        ],
        ids=lambda value: value.split(",")[0][:40] if isinstance(value, str) else "",
    )
    def test_what_takes_memory_or_time_out_of_proportion(self, content, reason, tmp_path):
        assert reason in refusal(write_archive(tmp_path / "x.pth", content, {"0": FLOATS}))

    def test_a_tuple_whose_hash_would_take_for_ever(self, tmp_path):
        steps = b"".join(b"h" + bytes([depth, ord("h"), depth]) + b"\x86q" + bytes([depth + 1]) for depth in range(60))
        path = write_archive(tmp_path / "x.pth", b"\x80\x02}K\x01q\x00" + steps + b"K\x01s.")
        assert "values nested" in refusal(path)

    def test_a_list_that_is_filled_after_it_was_put_into_another(self, tmp_path):
        lists = b"".join(b"]q" + bytes([number]) for number in range(41))
        filled = b"".join(
            b"h" + bytes([n]) + b"(" + b"h" + bytes([n - 1]) + b"h" + bytes([n - 1]) + b"e" for n in range(40, 0, -1)
        )
        assert "values nested" in refusal(write_archive(tmp_path / "x.pth", b"\x80\x02" + lists + filled + b"."))

    @pytest.mark.slow
    def test_values_that_are_too_deep_for_the_stack_of_c(self, tmp_path):
        path = write_archive(tmp_path / "x.pth", b"\x80\x02}K\x01" + b"\x85" * 200_000 + b"K\x01s.")
        assert "values nested 101 deep" in refusal(path)

    def test_a_list_that_contains_itself(self, tmp_path):
        assert "contains itself" in refusal(write_archive(tmp_path / "x.pth", b"\x80\x02]q\x00h\x00a."))

    @pytest.mark.parametrize(
        ("storages", "keys"),
        [({"0": FLOATS}, []), ({"0": FLOATS}, ["1"]), ({}, ["0"])],
        ids=["none", "other", "no bytes"],
    )
    def test_storages_that_are_never_filled(self, storages, keys, tmp_path):
        content = {"w": tensor(Stored("0", 4, view=(None,)), (4,))}
        message = refusal(write_legacy(tmp_path / "x.pth", content, storages, keys))
        assert message.startswith("not a readable torch file (")


@pytest.mark.usefixtures("torch_must_not_read")
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.eye(3).to_sparse(), "a sparse tensor"),
        (torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "a quantised tensor"),
        (torch.zeros(3, device="meta"), "a tensor without numbers (of the device meta)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_that_are_not_plain(value, kind, tmp_path, monkeypatch):
    torch.save({"w": value}, tmp_path / "x.pth")
    assert refusal(tmp_path / "x.pth").startswith(f"holds {kind}, and objects")


def test_a_tensor_with_attributes(tmp_path):
    parts = (Stored("0", 4), 0, (4,), (1,), False, ORDERED)
    state = {"__class__": Name("torch", "float32")}
    made = (Name("torch._utils", "_rebuild_tensor_v2"), Name("torch", "float32"), parts, state)
    path = write_archive(tmp_path / "x.pth", {"w": Call(Name("torch._tensor", "_rebuild_from_type_v2"), made)})
    assert refusal(path).startswith("holds a tensor of a subclass, or with attributes")


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', 8),
        (b'{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,16]}}', 16),
        (b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}', 16),
        (
            b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"v":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
            16,
        ),
        (b'{"w":{"dtype":"F99","shape":[4],"data_offsets":[0,16]}}', 16),
        (b'{"w":[' * 1000, 0),
    ],
    ids=["too short", "huge", "backwards", "over each other", "unknown type", "not JSON"],
)
@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
def test_a_safetensors_header_that_lies(header, size, name, tmp_path):
    (tmp_path / name).write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    assert refusal(tmp_path / name).startswith("not a readable safetensors file (")


def test_the_form_is_that_of_the_content(tmp_path):
    from safetensors.torch import save

    (tmp_path / "x.pth").write_bytes(save({"w": torch.arange(4.0)}))
    assert read_checkpoint(tmp_path / "x.pth")["w"].tolist() == [0, 1, 2, 3]
    torch.save({"w": torch.zeros(1)}, tmp_path / "y.safetensors")
    assert refusal(tmp_path / "y.safetensors").startswith("not a readable safetensors file")


def test_names_that_are_no_files(tmp_path):
    assert refusal(tmp_path) == "a folder, where a file was expected; name the file in it"
    assert refusal(tmp_path / ("a" * 5000)).startswith("cannot be read (File name too long)")
    with pytest.raises(ModelError, match=r"a\\x00b: cannot be read \(its path holds a character that no file name can"):
        read_checkpoint(tmp_path / "a\0b")


@pytest.mark.parametrize("kind", [torch.int8, torch.complex64, torch.bool])
def test_numbers_of_another_kind_do_not_become_weights(kind):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = dict(before) | {"0.weight": torch.ones(2, 2, dtype=kind), "1.num_batches_tracked": torch.tensor(3.0)}
    with pytest.raises(
        ModelError, match=rf"1 of another type \(first: 0\.weight, {str(kind)[6:]} in the file, float32"
    ):
        fill_model(model, weights, "x.pth")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_of_half_precision_become_float32():
    model = nn.Linear(2, 2)
    fill_model(model, {"weight": torch.full((2, 2), 0.5).half(), "bias": torch.zeros(2).bfloat16()}, "x.pth")
    assert model.weight.dtype is torch.float32
    assert model.weight.unique().tolist() == [0.5]
