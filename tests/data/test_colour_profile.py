import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from mlffm_segdiff.data import image_rows
from mlffm_segdiff.data.colour_profile import srgb_conversion
from mlffm_segdiff.data.files import decode_image, decode_mask

SMOOTH = np.asarray(
    Image.fromarray(np.random.default_rng(3).integers(40, 216, (5, 7, 3), dtype=np.uint8)).resize((70, 50))
)
PRIMARIES = {  # x, y of red, green, blue; white; gamma: of the standards' texts
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290), "srgb"),
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290), 563 / 256),
    "ProPhoto": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585), 1.8),
}
Space = tuple[
    tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float], float | str
]  # x, y of red, green, blue; white; gamma
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290), "srgb")
D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_d50(space: Space) -> np.ndarray:
    """RGB to XYZ at D50 by primaries and white point (Lindbloom), with Bradford's adaptation."""
    *corners, white, _ = space
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in corners]).T
    white = np.array([white[0] / white[1], 1, (1 - sum(white)) / white[1]])
    matrix = xyz * np.linalg.solve(xyz, white)
    gains = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    return np.linalg.inv(BRADFORD) @ gains @ BRADFORD @ matrix


def profile_of(space: Space) -> bytes:
    """An ICC profile of version 2 with a matrix and a curve of 1024 points (ICC.1:2001)."""

    def tag(kind: bytes, content: bytes) -> bytes:
        return kind + b"\0" * 4 + content

    def fixed(values: np.ndarray) -> bytes:
        return np.round(np.asarray(values) * 65536).astype(">i4").tobytes()

    curve = np.round(linear(np.linspace(0, 1, 1024), space[-1]) * 65535).astype(">u2").tobytes()
    text = b"test\0"
    tags = {
        b"desc": tag(b"desc", len(text).to_bytes(4, "big") + text + b"\0" * 79),
        b"wtpt": tag(b"XYZ ", fixed(D50)),
    }
    for letter, column in zip(b"rgb", to_d50(space).T, strict=True):
        tags[bytes([letter]) + b"XYZ"] = tag(b"XYZ ", fixed(column))
        tags[bytes([letter]) + b"TRC"] = tag(b"curv", (1024).to_bytes(4, "big") + curve)
    start = 132 + 12 * len(tags)
    table, body = len(tags).to_bytes(4, "big"), b""
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + (start + len(body)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        body += content
    header = b"\0" * 8 + b"\x02\x40\0\0" + b"mntrRGB XYZ " + b"\0" * 12 + b"acsp" + b"\0" * 28 + fixed(D50)
    header = header.ljust(128, b"\0")
    return (128 + len(table) + len(body)).to_bytes(4, "big") + (header + table + body)[4:]


def linear(values: np.ndarray, gamma: float | str) -> np.ndarray:
    if gamma == "srgb":
        return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return values**gamma


def encoded(values: np.ndarray, gamma: float | str) -> np.ndarray:
    values = np.clip(values, 0, 1)
    if gamma == "srgb":
        return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    return values ** (1 / gamma)


def in_space(rgb: np.ndarray, space: Space) -> np.ndarray:
    """sRGB colours as the levels that show them in another space."""
    xyz = linear(rgb / 255, "srgb") @ to_d50(SRGB).T
    return np.round(encoded(xyz @ np.linalg.inv(to_d50(space)).T, space[-1]) * 255).astype(np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", PRIMARIES)
def test_colours_of_a_profile_are_shown_in_srgb(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_rows, "STRIPE_PIXELS", 700)
    stored = in_space(SMOOTH, PRIMARIES[name])
    assert np.abs(stored.astype(int) - SMOOTH).max() > 12
    profile = profile_of(PRIMARIES[name])
    for kind in ("PNG", "TIFF"):
        found = decode_image(saved(Image.fromarray(stored), kind, icc_profile=profile), "x").astype(int)
        assert np.abs(found - SMOOTH).max() <= 4


def test_transparent_colours_are_converted_before_they_are_composited() -> None:
    space = PRIMARIES["Display P3"]
    layer = np.dstack([in_space(SMOOTH, space), np.full(SMOOTH.shape[:2], 255, np.uint8)])
    layer[:10, :, 3] = 0
    found = decode_image(saved(Image.fromarray(layer), icc_profile=profile_of(space)), "x").astype(int)
    assert (found[:10] == 255).all()
    assert np.abs(found[10:] - SMOOTH[10:]).max() <= 4


def test_srgb_itself_changes_no_level() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert srgb_conversion(profile, "RGB") is None
    assert srgb_conversion(profile_of(SRGB), "RGB") is None
    assert (decode_image(saved(Image.fromarray(SMOOTH), icc_profile=profile), "x") == SMOOTH).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "1"])
@pytest.mark.parametrize("profile", [b"", b"no profile", profile_of(SRGB)[:300], b"\0" * 500])
def test_a_broken_profile_is_ignored(mode: str, profile: bytes) -> None:
    image = Image.fromarray(SMOOTH).convert(mode)
    data = saved(image, "TIFF", icc_profile=profile)
    assert (decode_image(data, "x") == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_of_another_colour_space_is_ignored(mode: str) -> None:
    image = Image.fromarray(SMOOTH).convert(mode)
    data = saved(image, "TIFF", icc_profile=profile_of(PRIMARIES["ProPhoto"]))
    assert (decode_image(data, "x") == np.asarray(image.convert("RGB"))).all()


def test_a_gray_profile_is_applied() -> None:
    gray = Image.fromarray(SMOOTH[..., 0])
    text = b"test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + len(text).to_bytes(4, "big") + text + b"\0" * 79,
        b"wtpt": b"XYZ \0\0\0\0" + np.round(D50 * 65536).astype(">i4").tobytes(),
        b"kTRC": b"curv\0\0\0\0\0\0\0\x01\x01\0",  # gamma 1
    }
    start, table, body = 132 + 12 * 3, (3).to_bytes(4, "big"), b""
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + (start + len(body)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        body += content
    header = b"\0" * 8 + b"\x02\x40\0\0" + b"mntrGRAYXYZ " + b"\0" * 12 + b"acsp" + b"\0" * 28
    header = (header + np.round(D50 * 65536).astype(">i4").tobytes()).ljust(128, b"\0")
    profile = (128 + len(table) + len(body)).to_bytes(4, "big") + (header + table + body)[4:]
    expected = np.round(encoded(SMOOTH[..., 0] / 255, "srgb") * 255)
    for mode in ("L", "LA"):
        found = decode_image(saved(gray.convert(mode), icc_profile=profile), "x").astype(int)
        assert np.abs(found - expected[..., None]).max() <= 3
    read = decode_mask(saved(gray, icc_profile=profile), "x", probability=True)
    assert (read == (SMOOTH[..., 0] >= 128)).all()


def test_lab_is_read() -> None:
    lab = ImageCms.profileToProfile(
        Image.fromarray(SMOOTH),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    found = decode_image(saved(lab, "TIFF"), "x").astype(int)
    assert np.abs(found - SMOOTH).mean() < 3
