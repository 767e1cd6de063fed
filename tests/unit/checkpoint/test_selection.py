"""Which of the files in a repository or folder are the model."""

import pytest

from blockresearch.checkpoint.selection import CheckpointError, select_files


def no_index(name):
    raise AssertionError(f"{name} must not be read")


@pytest.mark.parametrize(
    ("names", "shards", "skipped"),
    [
        (["model.safetensors"], ["model.safetensors"], []),
        (["x.safetensors"], ["x.safetensors"], []),
        (
            ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"],
            ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"],
            [],
        ),
        (
            ["model.safetensors", "consolidated.safetensors", "original/model.safetensors"],
            ["model.safetensors"],
            ["consolidated.safetensors", "original/model.safetensors"],
        ),
        (["consolidated.safetensors"], ["consolidated.safetensors"], []),
    ],
)
def test_the_right_files_are_chosen_without_an_index(names, shards, skipped):
    selection = select_files(names, no_index)
    assert list(selection.shards) == shards
    assert sorted(selection.skipped) == skipped


def numbered(stem, count, numbers=None):
    return [f"{stem}-{n:05}-of-{count:05}.safetensors" for n in numbers or range(1, count + 1)]


STALE = "model.safetensors.index.json"
STALE_FP16 = "model.safetensors.index.fp16.json"
ONE_FP16 = "model.fp16.safetensors"


@pytest.mark.parametrize(
    ("index", "present", "read"),
    [
        (STALE, ["model.safetensors"], ["model.safetensors"]),
        (STALE, numbered("model", 2), numbered("model", 2)),
        (STALE, [*numbered("model", 3, [1, 3]), "model.safetensors"], ["model.safetensors"]),
        (STALE, [*numbered("model", 4, [1]), *numbered("model", 1)], numbered("model", 1)),
        (STALE_FP16, [ONE_FP16, "model.fp16.bin"], [ONE_FP16]),
    ],
)
def test_a_stale_index_gives_way_to_a_complete_set(index, present, read):
    variant = "fp16" if "fp16" in index else None
    absent = numbered("model" + (".fp16" if variant else ""), 3)
    selection = select_files([index, *present], lambda name: absent, variant=variant)
    assert (selection.index, list(selection.shards)) == (None, read)
    [stale] = [p for p in selection.problems if p.check == "stale_index"]
    assert stale.where == index and read[0] in stale.evidence and "not there" in stale.evidence


@pytest.mark.parametrize(
    "present",
    [[], numbered("model", 3, [1, 3]), ["adapter_model.safetensors"], ["vision.safetensors"]],
)
def test_an_index_without_its_shards_is_no_other_model(present):
    with pytest.raises(CheckpointError, match=r"json names .* not there.* incomplete") as told:
        select_files([STALE, *present], lambda name: numbered("model", 3))
    assert all(name in str(told.value) for name in present)


@pytest.mark.parametrize(
    ("present", "read", "alone"),
    [
        ([STALE, *numbered("model", 3), "model.safetensors"], numbered("model", 3), 1),
        (["0000100_adapters.safetensors", "adapters.safetensors"], ["adapters.safetensors"], 1),
        ([*numbered("model", 2), *numbered("model", 3)], numbered("model", 2), 3),
        ([*numbered("model", 2, [1]), *numbered("model", 3)], numbered("model", 3), 1),
    ],
)
def test_of_two_sets_the_one_left_alone_is_named(present, read, alone):
    selection = select_files(present, lambda name: numbered("model", 3))
    assert list(selection.shards) == read and len(selection.skipped) == alone
    [other] = selection.problems
    assert other.check == "other_weights" and f"{read[0]} is read" in other.evidence
    assert f"file={other.where}" in other.evidence


def test_a_file_is_chosen_by_its_name():
    names = ["a.safetensors", "b.safetensors", "sub/c.safetensors", STALE, *numbered("model", 3)]
    assert select_files(names, no_index, file="b.safetensors").shards == ("b.safetensors",)
    assert select_files(names, no_index, "sub", file="c.safetensors").shards == (names[2],)
    chosen = select_files(names, lambda name: numbered("model", 3), file=STALE)
    assert chosen.index == STALE and list(chosen.shards) == numbered("model", 3)
    with pytest.raises(CheckpointError, match=r"no file .d.safetensors. .* a.safetensors, b"):
        select_files(names, no_index, file="d.safetensors")


def test_a_shard_of_a_set_that_is_not_read_is_told():
    names = numbered("model", 3, [1])
    with pytest.raises(CheckpointError, match="2 of 3 shards are missing"):
        select_files(names, no_index)
    for selection in (
        select_files(names, no_index, file=names[0]),
        select_files([STALE, *names], lambda name: names),
    ):
        [problem] = selection.problems
        assert problem.check == "incomplete_set" and "3 files, of which 1" in problem.evidence


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["pytorch_model.bin"], r"only \.bin files.*refs/pr"),
        (["m.gguf"], "gguf"),
        ([], "no weight files"),
        (["m-00001-of-00003.safetensors", "m-00003-of-00003.safetensors"], "1 of 3.*00002"),
        (["a.safetensors", "b.safetensors"], r"no index .*\(a.*, b.*\).* file=a\.safetensors"),
        (["0_T/model.safetensors", "1_Pooling/x.json"], "0_T: .*subfolder=0_T"),
        (["unet/a.safetensors", "vae/b/c.safetensors", "x.bin"], "unet, vae/b: .*subfolder=unet"),
    ],
)
def test_what_cannot_be_analyzed_is_told(names, words):
    with pytest.raises(CheckpointError, match=words):
        select_files(names, no_index)


@pytest.mark.parametrize(
    ("names", "chosen", "shards"),
    [
        (["model.fp16.safetensors"], {}, ["model.fp16.safetensors"]),
        (["model.safetensors", "model.fp16.safetensors"], {}, ["model.safetensors"]),
        (
            ["model.safetensors", "model.fp16.safetensors"],
            {"variant": "fp16"},
            ["model.fp16.safetensors"],
        ),
        (
            ["model.safetensors"] + [f"model.fp16-0000{k}-of-00002.safetensors" for k in (1, 2)],
            {"variant": "fp16"},
            [f"model.fp16-0000{k}-of-00002.safetensors" for k in (1, 2)],
        ),
        (
            [f"model.safetensors-0000{k}-of-00002.safetensors" for k in (1, 2)],
            {},
            [f"model.safetensors-0000{k}-of-00002.safetensors" for k in (1, 2)],
        ),
        (
            ["model_part_0.safetensors", "model_part_1.safetensors"],
            {},
            ["model_part_0.safetensors", "model_part_1.safetensors"],
        ),
        (
            ["unet/diffusion_pytorch_model.safetensors", "vae/model.safetensors"],
            {"subfolder": "unet"},
            ["unet/diffusion_pytorch_model.safetensors"],
        ),
        (["adapter_model.safetensors"], {}, ["adapter_model.safetensors"]),
        (
            ["model.safetensors", "adapter_model.safetensors", "onnx/model.safetensors"],
            {},
            ["model.safetensors"],
        ),
        (
            [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]
            + [f"consolidated-0000{k}-of-00002.safetensors" for k in (1, 2)],
            {},
            [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)],
        ),
    ],
)
def test_one_set_is_chosen_and_the_rest_told(names, chosen, shards):
    selection = select_files(names, no_index, **chosen)
    assert list(selection.shards) == shards
    assert set(selection.skipped) == set(names) - set(shards)
    assert all(selection.skipped.values())


@pytest.mark.parametrize(
    ("names", "chosen", "words"),
    [
        (["model.fp16.safetensors", "model.fp8.safetensors"], {}, "several variants.*fp16, fp8"),
        (["model.safetensors"], {"variant": "bf16"}, "no variant bf16"),
        (["model.safetensors"], {"subfolder": "vae"}, "no safetensors file here in vae/"),
    ],
)
def test_a_choice_that_cannot_be_made_is_told(names, chosen, words):
    with pytest.raises(CheckpointError, match=words):
        select_files(names, no_index, **chosen)
