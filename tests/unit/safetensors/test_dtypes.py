import numpy as np
import pytest

from blockresearch.safetensors.dtypes import (
    DTYPES,
    FLOAT_LAYOUTS,
    code_values,
    codes,
    decode,
    nbytes,
    storage,
)

torch = pytest.importorskip("torch")

TORCH_TYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}


@pytest.mark.parametrize("name", TORCH_TYPES)
def test_every_code_means_what_torch_says(name):
    bits = DTYPES[name].bits
    raw = np.arange(2**bits, dtype=f"<u{bits // 8}")
    stored = torch.from_numpy(raw.view(f"<i{bits // 8}"))
    if name == "BOOL":
        expected = stored.numpy().astype(bool).astype(np.float64)
    else:
        expected = stored.view(TORCH_TYPES[name]).to(torch.float64).numpy()
    np.testing.assert_array_equal(code_values(name), expected)
    np.testing.assert_array_equal(decode(raw, name, np.float64), expected)
    np.testing.assert_array_equal(decode(raw.tobytes(), name), expected.astype(np.float32))
    assert (np.signbit(code_values(name)) == np.signbit(expected))[expected == 0].all()


def test_small_floats_follow_the_ocp_tables():
    e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert code_values("F4").tolist() == e2m1 + [-v for v in e2m1]
    e2m3 = (
        [i / 8 for i in range(16)] + [2 + i / 4 for i in range(8)] + [4 + i / 2 for i in range(8)]
    )
    assert code_values("F6_E2M3").tolist() == e2m3 + [-v for v in e2m3]
    e3m2 = code_values("F6_E3M2")
    assert (e3m2[1], e3m2[4], e3m2[31], e3m2[63]) == (0.0625, 0.25, 28.0, -28.0)


def test_sub_byte_codes_unpack_from_the_low_bits():
    assert codes(b"\x21\x43", "F4").tolist() == [1, 2, 3, 4]
    numbers = np.random.default_rng(0).integers(0, 64, 40)
    stream = sum(int(n) << (6 * i) for i, n in enumerate(numbers))
    assert codes(stream.to_bytes(30, "little"), "F6_E3M2").tolist() == numbers.tolist()


@pytest.mark.parametrize("name", ["U32", "I32", "U64", "I64", "F32", "F64", "C64"])
def test_wide_types_decode_like_numpy(name):
    raw = np.random.default_rng(1).integers(0, 256, 800, dtype=np.uint8)
    stored = raw.view(storage(name))
    out = np.complex128 if name == "C64" else np.float64
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(decode(raw, name, np.float64), stored.astype(out))
    assert codes(raw, name).view(storage(name)).tobytes() == raw.tobytes()


def test_sizes():
    assert len(DTYPES) == 22
    assert nbytes("F4", 6) == 3 and nbytes("F6_E2M3", 8) == 6 and nbytes("C64", 3) == 24
    for name, numel in (("F4", 3), ("F6_E3M2", 2)):
        with pytest.raises(ValueError, match="whole bytes"):
            nbytes(name, numel)
    with pytest.raises(ValueError, match="whole number"):
        codes(b"\x00\x00\x00", "BF16")
    with pytest.raises(ValueError, match="unknown dtype"):
        nbytes("F3", 8)
    with pytest.raises(ValueError, match="too many codes"):
        code_values("F32")


def test_layout_fields_fill_the_type():
    for name, layout in FLOAT_LAYOUTS.items():
        assert layout.sign + layout.exponent + layout.mantissa == DTYPES[name].bits
        if DTYPES[name].bits <= 16:
            values = code_values(name)
            first_normal = 0 if layout.special == "scale" else 2**layout.mantissa
            assert values[first_normal] == layout.min_normal
