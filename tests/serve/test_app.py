import base64
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from importlib import resources
from pathlib import Path

import highdicom
import numpy as np
import numpy.typing as npt
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from pydicom import dcmread
from waiting import wait_until

from mlffm_segdiff import __version__, segment
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.inference.model import Model, load_model
from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.inference.reading import case_image
from mlffm_segdiff.metrics.case_bounds import Bounds
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.base import BaseSegmenter, Segmentation
from mlffm_segdiff.segmenters.calibration import Quality, SetBounds, StyleCalibration
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.sampling import chosen_sampling
from mlffm_segdiff.serve.app import create_app
from mlffm_segdiff.serve.limits import Limits

Serve = Callable[..., TestClient]
Form = Callable[..., dict[str, object]]
Pixels = npt.NDArray[np.uint8]
URL = "/api/v1/segment"
PAGE = Path(str(resources.files("mlffm_segdiff.serve"))) / "page"
SVG = 'xmlns="http://www.w3.org/2000/svg"'


def decoded(content: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image)


def numbers(text: str) -> npt.NDArray[np.float32]:
    found = np.frombuffer(base64.b64decode(text), "<f4")
    return found.reshape(16, 16)


@pytest.fixture
def weights(untrained: Callable[..., Path]) -> Path:
    return untrained("isic2018", "model.size=tiny", "data.size=32", "sampling.steps=2", "sampling.samples=3")


def test_an_image_becomes_measures_and_contours(serve: Serve, form: Form) -> None:
    answer = serve().post(URL, **form())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found = answer.json()
    assert (found["name"], found["width"], found["height"], found["threshold"]) == ("square.png", 16, 16, 0.5)
    assert found["sampling"] == {
        "samples": 0,
        "steps": 4,
        "sampler": "ddim",
        "seed": 0,
        "style": "any",
        "mirror": False,
        "second_look": False,
        "fusion": "mean",
        "widening": 1.0,
        "logit_spread": 0.0,
    }
    assert found["post_processing"] == asdict(PostProcessing())
    assert (found["measures"]["area"], found["measures"]["components"]) == (30, 1)
    (feature,) = found["contours"]["features"]
    corners = np.array(feature["geometry"]["coordinates"][0])
    assert (corners.min(0).tolist(), corners.max(0).tolist()) == ([4, 3], [10, 8])
    assert found["maps"] is None
    assert found["preview"] is None


@pytest.fixture
def calibrated(red: BaseSegmenter) -> Iterator[TestClient]:
    """A client of a server whose weights are calibrated for two levels."""
    bounds = {
        0.8: Bounds(0.6, 0.4, 0.6, 0.4, 0.1, 0.2, 0.1, 0.1),
        0.9: Bounds(0.7, 0.3, 0.7, 0.3, 1, 2, 1, 1),
    }
    style = StyleCalibration(
        calibration=Calibration((0.0, 1.0), (0.0, 1.0)), sets={"ph2": SetBounds(cases=30, levels=bounds)}
    )
    quality = Quality(
        sampling=SamplingConfig(),
        sources=("ph2",),
        cases=30,
        training_images=3,
        split="",
        styles={"any": style},
        limits=QualityLimits((0, 1e9), (0, 100), (-200, 200), (-200, 200)),
    )
    model = Model(red, 16, SamplingConfig(), torch.device("cpu"), quality)
    with TestClient(create_app(model, lambda given: model.sampling.model_copy(update=given))) as client:
        yield client


def test_intervals_and_band_hold_at_the_level_asked_for(
    calibrated: TestClient, png: Callable[..., bytes]
) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = np.linspace(0, 255, 16).round()
    files = {"image": ("a.png", png(red))}
    wide = calibrated.post(URL, files=files).json()
    intervals = wide["intervals"]
    assert (intervals["level"], intervals["levels"]) == (0.9, [0.8, 0.9])
    assert intervals["calibration_cases"] == {"ph2": 30}
    low, high = intervals["area"]
    assert low < wide["measures"]["area"] < high
    dice = intervals["expected_dice"]
    assert dice[0] <= wide["quality"]["expected_dice"] <= dice[1]
    assert (intervals["area_mm2"], wide["band"]) == (None, None)
    options = {"level": 80, "band": True, "mm_per_pixel": 0.5}
    narrow = calibrated.post(URL, params=options, files=files).json()
    assert narrow["intervals"]["level"] == narrow["band"]["level"] == 0.8
    area = narrow["intervals"]["area"]
    assert low < area[0] < area[1] < high
    assert narrow["intervals"]["area_mm2"] == [end / 4 for end in area]
    columns = [
        sum(feature["properties"]["area"] for feature in contour["features"]) / 16
        for contour in (narrow["band"]["inner"], narrow["contours"], narrow["band"]["outer"])
    ]
    assert columns == [7, 8, 9]  # of 0/15 to 15/15, those from 0.56, 0.5 and 0.44, as the contrast is high


def test_a_level_that_is_not_calibrated_is_refused(calibrated: TestClient, form: Form) -> None:
    answer = calibrated.post(URL, params={"level": 0.95}, **form())
    assert (answer.status_code, answer.json()["problem"]) == (422, "unusable")
    assert answer.json()["detail"] == "level 0.95 is not calibrated"
    assert calibrated.post(URL, params={"level": 100}, **form()).status_code == 422


def test_without_a_calibration_that_applies_intervals_and_band_are_null(
    serve: Serve, calibrated: TestClient, form: Form
) -> None:
    answers = [
        serve().post(URL, params={"level": 0.95, "band": True}, **form()),
        calibrated.post(URL, params={"threshold": 0.4, "band": True}, **form()),
    ]
    for answer in answers:
        assert (answer.json()["intervals"], answer.json()["band"]) == (None, None)


@pytest.mark.parametrize(
    ("url", "accept"), [(URL, "image/png"), (f"{URL}?format=png", "*/*"), (URL, "image/*;q=0.9, text/html")]
)
def test_an_image_becomes_a_mask(serve: Serve, form: Form, square: Pixels, url: str, accept: str) -> None:
    answer = serve().post(url, headers={"Accept": accept}, **form())
    assert answer.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(decoded(answer.content), square[..., 0])


def test_the_mask_is_that_of_segment_whatever_the_files_name(
    weights: Path, tmp_path: Path, png: Callable[..., bytes]
) -> None:
    coarse = np.random.default_rng(3).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = tmp_path / "lesion 7.png"
    path.write_bytes(png(np.asarray(Image.fromarray(coarse).resize((60, 41)))))
    pretrained = load_pretrained(weights)
    app = create_app(load_model(pretrained), partial(chosen_sampling, pretrained.recipe))
    with TestClient(app) as client:
        for threshold, sampling, post in (
            (0.5, {}, {}),
            (0.5, {"samples": 0, "mirror": True}, {"keep_specks": True}),
            (0.45, {"steps": 5, "samples": 2, "seed": 3}, {"largest": True, "fill_holes": True}),
        ):
            steps = PostProcessing(**post)
            (expected,) = segment([path], weights, sampling=sampling, threshold=threshold, post=steps)
            options = {f"sampling.{key}": value for key, value in sampling.items()} | post
            files = {"image": ("C:\\fakepath\\lesion 7.png", path.read_bytes())}
            answer = client.post(
                URL, params={"threshold": threshold, "format": "png", **options}, files=files
            )
            np.testing.assert_array_equal(decoded(answer.content) > 0, expected.mask)
            body = {"content": path.read_bytes(), "headers": {"Content-Type": "image/png"}}
            params = {"threshold": threshold, "name": "other.png", "format": "png", **options}
            assert client.post(URL, params=params, **body).content == answer.content
        refused = client.post(URL, params={"sampling.fusion": "staple", "sampling.samples": 1}, files=files)
        assert (refused.status_code, refused.json()["problem"]) == (422, "unusable")
        assert "fusion staple needs several samples" in refused.json()["detail"]
        refused = client.post(URL, params={"sampling.steps": 2, "sampling.samples": 0}, files=files)
        assert (refused.status_code, refused.json()["problem"]) == (422, "unusable")
        assert "no samples are drawn" in refused.json()["detail"]


def test_maps_and_samples_come_on_request(serve: Serve, form: Form, square: Pixels) -> None:
    found = serve().post(URL, params={"sampling.samples": 3, "maps": True, "preview": True}, **form()).json()
    maps, red = found["maps"], square[..., 0] / 255
    assert maps["size"] == 16
    expected = [red, red * 0.99, red * 0.98]
    for sample, values in zip(maps["samples"], expected, strict=True):
        np.testing.assert_allclose(numbers(sample), values, atol=1e-6)
    np.testing.assert_allclose(numbers(maps["probability"]), np.mean(expected, 0), atol=1e-6)
    np.testing.assert_allclose(numbers(maps["spread"]), np.std(expected, 0), atol=1e-6)
    kind, _, content = found["preview"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert decoded(base64.b64decode(content)).shape == (16, 16, 3)


@pytest.mark.parametrize("side", [4000, 1700])
def test_a_preview_has_at_least_a_pixel_on_each_side(
    serve: Serve, png: Callable[..., bytes], side: int
) -> None:
    image = np.arange(side * 3, dtype=np.uint32).reshape(1, side, 3).astype(np.uint8)
    files = {"image": ("line.png", png(image))}
    found = serve().post(URL, params={"preview": True}, files=files)
    assert found.status_code == 200, found.text
    assert decoded(base64.b64decode(found.json()["preview"].partition(",")[2])).shape == (1, 1600, 3)


def test_options_may_be_fields_of_the_form(serve: Serve, form: Form) -> None:
    fields = {"threshold": "0.25", "sampling.samples": "2", "mm_per_pixel": "0.5", "format": "json"}
    found = serve().post(URL, data=fields, **form()).json()
    assert (found["threshold"], found["sampling"]["samples"], found["mm_per_pixel"]) == (0.25, 2, 0.5)


def test_a_second_look_gives_finer_maps_of_one_size(serve: Serve, form: Form, red) -> None:
    found = serve().post(URL, params={"sampling.second_look": True, "maps": True}, **form()).json()
    assert found["sampling"]["second_look"]
    assert len(red.calls) == 2
    assert found["maps"]["size"] == 32
    for name in ("probability", "spread"):
        assert len(base64.b64decode(found["maps"][name])) == 4 * 32 * 32


def test_style_and_mirror_reach_the_network(serve: Serve, form: Form, red) -> None:
    found = serve().post(URL, params={"sampling.style": "ph2", "sampling.mirror": True}, **form()).json()
    assert (found["sampling"]["style"], found["sampling"]["mirror"]) == ("ph2", True)
    assert red.calls == [(1, SamplingConfig(style="ph2", mirror=True))]


def test_masks_are_post_processed_as_requested(
    serve: Serve, png: Callable[..., bytes], square: Pixels
) -> None:
    """A frame of 26 pixels with a hole of 4, and 9 pixels apart; 35 in all."""
    square[5:7, 6:8] = 0
    square[11:14, 11:14, 0] = 255
    client = serve()

    def areas(**options: bool) -> tuple[int, int, int]:
        files = {"image": ("a.png", png(square))}
        found = client.post(URL, params=options, files=files).json()
        mask = client.post(URL, params={"format": "png", **options}, files=files).content
        contours = sum(feature["properties"]["area"] for feature in found["contours"]["features"])
        return found["measures"]["area"], contours, int((decoded(mask) > 0).sum())

    assert areas() == (35, 35, 35)
    assert areas(largest=True) == (26, 26, 26)
    assert areas(fill_holes=True) == (39, 39, 39)
    assert areas(largest=True, fill_holes=True) == (30, 30, 30)


def test_a_mask_of_ones_own_is_measured(
    serve: Serve, form: Form, square: Pixels, png: Callable[..., bytes]
) -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[2:4, 5:12] = 255
    sent = form()
    sent["files"] |= {"mask": ("mask.png", png(mask))}
    found = serve().post("/api/v1/measure", **sent).json()
    assert (found["measures"]["area"], found["measures"]["mean_spread"]) == (14, None)
    assert len(found["contours"]["features"]) == 1
    small = {"image": ("a.png", png(square)), "mask": ("m.png", png(mask[1:]))}
    refused = serve().post("/api/v1/measure", files=small)
    assert (refused.status_code, refused.json()["name"]) == (422, "m.png")
    assert "16x15" in refused.json()["detail"]


def test_concurrent_requests_go_through_the_network_together(serve: Serve, form: Form, red) -> None:
    client = serve()
    red.gate.clear()
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(client.post, URL, **form("first.png"))
        assert red.started.wait(60)
        names = ["a.png", "b.png", "c.png"]
        others = [threads.submit(client.post, URL, **form(name)) for name in names]
        other = threads.submit(client.post, f"{URL}?sampling.samples=2", **form("two.png"))
        wait_until(lambda: "segdiff_queue_length 4.0" in client.get("/metrics").text)
        red.gate.set()
        answers = [future.result() for future in (first, *others, other)]
    assert [answer.json()["name"] for answer in answers] == ["first.png", *names, "two.png"]
    assert sorted((count, sampling.samples) for count, sampling in red.calls) == [(1, 0), (1, 2), (3, 0)]


def test_a_full_queue_is_refused_with_a_retry_time(serve: Serve, form: Form, red) -> None:
    client = serve(queue=1)
    red.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(client.post, URL, **form())
        assert red.started.wait(60)
        refused = client.post(URL, **form())
        red.gate.set()
        assert first.result().status_code == 200
    assert (refused.status_code, refused.json()["problem"]) == (503, "busy")
    assert int(refused.headers["retry-after"]) >= 1
    assert client.post(URL, **form()).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [(b"no image", 415, "not-an-image"), (b"", 422, "unusable"), (None, 422, "unusable")],
    ids=["text", "empty", "cut off"],
)
def test_a_wrong_file_is_named_with_a_way_out(
    serve: Serve, png: Callable[..., bytes], content: bytes | None, status: int, kind: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    content = png(noise)[:200] if content is None else content
    answer = serve().post(URL, files={"image": ("notes.png", content)})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    problem = answer.json()
    assert (problem["problem"], problem["name"]) == (kind, "notes.png")
    assert "notes.png" in problem["detail"]
    assert problem["hint"]


@pytest.mark.parametrize("cut", [4, 131, 140, 200, 300, -700, -1])
def test_a_damaged_dicom_file_is_never_a_fault(serve: Serve, dicom: bytes, cut: int) -> None:
    client = serve()
    for damaged in (
        dicom[:cut],
        dicom[:cut] + b"\xff" * 5 + dicom[cut:],
        dicom.replace(b"US\x02\0", b"XX\x02\0"),
    ):
        assert (
            client.post(URL, content=damaged, headers={"Content-Type": "application/dicom"}).status_code < 500
        )


def test_a_program_is_no_image(serve: Serve) -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    answer = serve().post(URL, files={"image": ("a.jpg", eps)})
    assert (answer.status_code, answer.json()["problem"]) == (415, "not-an-image")


def test_images_have_a_limit_of_pixels_and_masks_the_size_of_their_image(
    serve: Serve, form: Form, square: Pixels, png: Callable[..., bytes]
) -> None:
    client = serve(pixels=16 * 16)
    assert client.post(URL, **form()).status_code == 200
    large = png(np.tile(square, (2, 2, 1)))
    answer = client.post(URL, files={"image": ("large.png", large)})
    assert (answer.status_code, answer.json()["name"]) == (413, "large.png")
    assert "0.0 megapixels, above the limit" in answer.json()["detail"]
    client = serve()
    files = {"image": ("a.png", png(square)), "mask": ("large.png", large)}
    answer = client.post("/api/v1/measure", files=files)
    assert (answer.status_code, answer.json()["detail"]) == (422, "the mask is 32x32, its image 16x16")


def test_an_image_of_one_colour_is_refused(serve: Serve, square: Pixels, png: Callable[..., bytes]) -> None:
    answer = serve().post(URL, files={"image": ("black.png", png(np.zeros_like(square)))})
    assert (answer.status_code, answer.json()["problem"]) == (422, "unusable")
    assert "black.png has one colour only" in answer.json()["detail"]


def test_a_dicom_file_becomes_a_dicom_segmentation(serve: Serve, dicom: bytes, square: Pixels) -> None:
    client = serve()
    headers = {"Content-Type": "application/dicom", "Accept": "application/dicom"}
    answer = client.post(URL, content=dicom, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom")
    found = dcmread(io.BytesIO(answer.content))
    assert (found.Modality, found.StudyInstanceUID) == ("SEG", "2.25.2")
    np.testing.assert_array_equal(found.pixel_array > 0, square[..., 0] > 0)
    headers["Accept"] = "application/json"
    spaced = client.post(URL, content=dicom, headers=headers).json()
    assert (spaced["mm_per_pixel"], spaced["measures"]["area_mm2"]) == (0.25, 30 * 0.25**2)
    chosen = client.post(URL, params={"mm_per_pixel": 2}, content=dicom, headers=headers).json()
    assert chosen["measures"]["area_mm2"] == 30 * 4


def test_a_dicom_segmentation_needs_a_dicom_file(serve: Serve, form: Form) -> None:
    answer = serve().post(URL, headers={"Accept": "application/dicom"}, **form())
    assert (answer.status_code, answer.json()["name"]) == (422, "square.png")


@pytest.mark.parametrize(
    ("arguments", "status", "names"),
    [
        ({"files": {"photo": ("a.png", b"x")}}, 422, "image"),
        ({"content": b"{}", "headers": {"Content-Type": "application/json"}}, 415, "application/json"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        ({"params": {"threshold": 0}}, 422, "threshold"),
        ({"params": {"thresold": 0.5}}, 422, "thresold"),
        ({"params": {"sampling.steps": 0}}, 422, "sampling.steps"),
        ({"params": {"sampling.step": 2}}, 422, "sampling.step"),
        ({"data": {"sampling.samples": "many"}}, 422, "sampling.samples"),
        ({"data": {"sampling.samples": 33}}, 422, "sampling.samples"),
        ({"params": {"sampling.style": "dali"}}, 422, "no such style"),
        ({"headers": {"Accept": "text/html"}}, 406, "text/html"),
    ],
)
def test_a_wrong_request_is_refused_with_the_reason(
    serve: Serve, form: Form, arguments: dict[str, object], status: int, names: str
) -> None:
    sent = arguments if {"files", "content"} & arguments.keys() else form() | arguments
    answer = serve().post(URL, **sent)
    assert answer.status_code == status
    assert names in answer.json()["detail"]


def test_a_request_too_large_is_refused_with_or_without_a_length_header(serve: Serve, form: Form) -> None:
    client = serve(body_bytes=1000)
    png = {"Content-Type": "image/png"}
    chunks = (b"x" * 400 for _ in range(5))
    for content in (b"x" * 1001, chunks):
        answer = client.post(URL, content=content, headers=png)
        assert (answer.status_code, answer.json()["problem"]) == (413, "too-large")
    assert client.post(URL, content=b"x" * 1000, headers=png).status_code == 415


def test_an_error_of_the_network_is_a_500_without_details(make_app, form: Form, red, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(red, "segment", fail)
    with TestClient(make_app(), raise_server_exceptions=False) as client:
        answer = client.post(URL, **form())
        assert (answer.status_code, answer.json()["problem"]) == (500, "fault")
        assert "secret" not in answer.text
        monkeypatch.undo()
        assert client.post(URL, **form()).status_code == 200


def test_metrics_count_requests_and_batches(serve: Serve, form: Form) -> None:
    client = serve()
    client.post(URL, **form())
    client.post(URL)
    text = client.get("/metrics").text
    for line in (
        'segdiff_requests_total{route="/api/v1/segment",status="200"} 1.0',
        'segdiff_requests_total{route="/api/v1/segment",status="415"} 1.0',
        'segdiff_request_seconds_count{route="/api/v1/segment"} 2.0',
        "segdiff_queue_length 0.0",
        "segdiff_requests_in_flight 0.0",
        "segdiff_batch_size_count 1.0",
        "segdiff_model_seconds_count 1.0",
    ):
        assert f"\n{line}\n" in text


def test_health_and_about(serve: Serve) -> None:
    client = serve()
    assert client.get("/healthz").json() == {"status": "ok"}
    found = client.get("/api/v1/about").json()
    assert (found["version"], found["weights"], found["size"]) == (__version__, "red", 16)
    assert found["styles"] == ["any", "isic2018", "ph2"]
    assert (found["least_samples"], found["most_samples"]) == (0, 32)
    assert (found["most_pixels"], found["most_evaluations"]) == (50_000_000, 256)
    sample = client.get(f"/samples/{found['sample_images'][0]}")
    assert decoded(sample.content).ndim == 3


def test_without_its_life_nothing_is_healthy(make_app) -> None:
    assert TestClient(make_app()).get("/healthz").status_code == 503


def test_the_page_requests_nothing_from_other_servers(serve: Serve) -> None:
    client = serve()
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    names = [path.name for path in PAGE.iterdir() if path.suffix != ".jpg"]
    assert {"index.html", "style.css", "main.js", "icon.svg"} <= set(names)
    for name in names:
        text = client.get(f"/{name}").text
        assert "http" not in text.replace("http-equiv", "").replace(SVG, ""), name
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    assert client.get("/nothing").json()["problem"] == "not-found"


def test_nothing_is_cached_and_no_other_site_may_read(serve: Serve, form: Form) -> None:
    answer = serve().post(URL, headers={"Origin": "http://elsewhere"}, **form())
    assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("fields", "files", "named"),
    [
        ((), ("image", "image"), "image"),
        ((), ("image", "image", "image"), "image"),
        ((), ("image", "photo"), "photo"),
        ((), ("image", "mask"), "mask"),
        (("threshold", "threshold"), ("image",), "threshold"),
        (("image",), ("image",), "image"),
        (("treshold",), ("image",), "treshold"),
    ],
)
def test_a_repeated_or_unexpected_field_is_named(
    serve: Serve, form: Form, fields: tuple[str, ...], files: tuple[str, ...], named: str
) -> None:
    part = 'Content-Disposition: form-data; name="{}"{}\r\n\r\n'
    parts = [part.format(name, "").encode() + b"0.5" for name in fields]
    image = form()["files"]["image"][1]
    parts += [part.format(name, '; filename="a.png"').encode() + image for name in files]
    body = b"".join(b"--b\r\n" + one + b"\r\n" for one in parts) + b"--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = serve().post(URL, content=body, headers=headers)
    assert (answer.status_code, answer.json()["problem"]) == (422, "unusable")
    assert named in answer.json()["detail"]


def test_a_repeated_parameter_is_named(serve: Serve, form: Form) -> None:
    answer = serve().post(f"{URL}?threshold=0.4&threshold=0.5", **form())
    assert (answer.status_code, "threshold" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("cut", [1, 4, 10, 60, 100])
def test_a_form_without_its_end_is_malformed(serve: Serve, form: Form, cut: int) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    body = part + form()["files"]["image"][1] + b"\r\n--b--"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    client = serve()
    assert client.post(URL, content=body, headers=headers).status_code == 200
    answer = client.post(URL, content=body[:-cut], headers=headers)
    assert (answer.status_code, answer.json()["problem"]) == (400, "malformed-request")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", URL, {"POST"}),
        ("DELETE", "/api/v1/measure", {"POST"}),
        ("POST", "/healthz", {"GET"}),
        ("POST", "/", {"GET", "HEAD"}),
        ("PUT", "/main.js", {"GET", "HEAD"}),
        ("POST", "/samples/a.jpg", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_refused_with_those_allowed(
    serve: Serve, method: str, path: str, allowed: set[str]
) -> None:
    answer = serve().request(method, path)
    assert (answer.status_code, answer.json()["problem"]) == (405, "no-such-method")
    assert set(answer.headers["allow"].replace(" ", "").split(",")) == allowed


@pytest.mark.parametrize(
    ("given", "status", "kind"),
    [
        ("bytes=99999999-", 416, "no-such-range"),
        ("bytes=x-y", 400, "malformed-request"),
        ("nonsense", 400, "malformed-request"),
        (f"bytes={'9' * 5000}-", 400, "malformed-request"),
    ],
)
def test_a_range_that_cannot_be_sent_is_a_problem(serve: Serve, given: str, status: int, kind: str) -> None:
    client = serve()
    answer = client.get("/main.js", headers={"Range": given})
    assert (answer.status_code, answer.json()["problem"]) == (status, kind)
    assert ("content-range" in answer.headers) == (status == 416)
    assert client.get("/main.js", headers={"Range": "bytes=0-3"}).text == "/** "


@pytest.mark.parametrize(
    ("options", "most", "status"),
    [
        ({"sampling.samples": 8, "sampling.steps": 4}, 32, 200),
        ({"sampling.samples": 8, "sampling.steps": 5}, 32, 422),
        ({"sampling.samples": 4, "sampling.steps": 2, "sampling.mirror": True}, 32, 200),
        ({"sampling.samples": 3, "sampling.steps": 3, "sampling.mirror": True}, 32, 422),
        ({"sampling.mirror": True}, 3, 422),
        ({"sampling.second_look": True}, 1, 422),
        ({"sampling.samples": 32, "sampling.steps": 50}, 256, 422),
        ({"sampling.samples": 8, "sampling.steps": 2, "box": "2,2,12,10"}, 32, 200),
        ({"sampling.samples": 8, "sampling.steps": 3, "box": "2,2,12,10"}, 32, 422),
    ],
)
def test_evaluations_of_the_network_are_limited(
    serve: Serve, form: Form, options: dict[str, object], most: int, status: int
) -> None:
    answer = serve(evaluations=most).post(URL, params=options, **form())
    assert answer.status_code == status
    if status == 422:
        assert f"above the limit of {most}" in answer.json()["detail"]
        assert "--max-evaluations" in answer.json()["hint"]


def test_a_default_sampling_above_the_limit_is_named_at_the_start(red) -> None:
    model = Model(red, 16, SamplingConfig(samples=9, steps=4), torch.device("cpu"))
    with pytest.raises(UserError, match=r"36 evaluations .* --max-evaluations"):
        create_app(model, lambda _: model.sampling, limits=Limits(evaluations=35))


@pytest.mark.parametrize("error", [NotImplementedError, TypeError, MemoryError, RecursionError, KeyError])
def test_any_error_of_a_decoder_is_a_refusal_of_its_file(
    serve: Serve, form: Form, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error("Unknown Value Representation")

    client = serve()
    with monkeypatch.context() as patch:
        patch.setattr(case_image, "rgb_rows", fail)
        answer = client.post(URL, **form())
    assert (answer.status_code, answer.json()["problem"]) == (422, "unusable")
    assert answer.json()["name"] == "square.png"
    assert client.post(URL, **form()).status_code == 200


def test_a_dicom_file_that_no_segmentation_can_be_made_of_is_refused(
    serve: Serve, dicom: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise AttributeError("'Dataset' object has no attribute 'Columns'")

    monkeypatch.setattr("mlffm_segdiff.inference.outputs.dicom_seg._segmentation", fail)
    headers = {"Content-Type": "application/dicom", "Accept": "application/dicom"}
    answer = serve().post(URL, content=dicom, headers=headers)
    assert (answer.status_code, answer.json()["problem"]) == (422, "unusable")


def test_a_corrected_mask_becomes_a_dicom_seg_of_its_image(
    serve: Serve, dicom: bytes, form: Form, png: Callable[..., bytes]
) -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[2:7, 3:9] = mask[12, 13] = 255
    drawn = ("mask.png", png(mask))
    files = {"image": ("a.dcm", dicom), "mask": drawn}
    answer = serve().post("/api/v1/measure", files=files, data={"format": "dicom"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom")
    found = highdicom.seg.segread(io.BytesIO(answer.content))
    np.testing.assert_array_equal(found.get_pixels_by_source_instance(["2.25.1"])[0, ..., 0], mask > 0)
    assert found.get_segment_description(1).algorithm_type.value == "SEMIAUTOMATIC"
    np.testing.assert_array_equal(dcmread(io.BytesIO(answer.content)).pixel_array, mask > 0)
    photo = {"image": form()["files"]["image"], "mask": drawn}
    refused = serve().post("/api/v1/measure", files=photo, data={"format": "dicom"})
    assert (refused.status_code, "of a DICOM file" in refused.json()["detail"]) == (422, True)
    assert serve().post("/api/v1/measure", files=photo, data={"format": "png"}).status_code == 422


@pytest.mark.parametrize("output", ["probability", "spread", "samples"])
def test_an_output_that_is_not_finite_is_a_problem(
    make_app, form: Form, red, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    segment = red.segment

    def broken(image: torch.Tensor, sampling: SamplingConfig) -> Segmentation:
        found = segment(image, sampling)
        return replace(found, **{output: getattr(found, output) * torch.nan})

    monkeypatch.setattr(red, "segment", broken)
    with TestClient(make_app()) as client:
        answer = client.post(URL, params={"sampling.samples": 2}, **form())
    assert (answer.status_code, answer.json()["problem"]) == (500, "fault")
    assert "not finite" in answer.json()["detail"]
    assert answer.json()["name"] == "square.png"


def test_a_box_limits_the_mask_and_points_select_components(
    serve: Serve, png: Callable[..., bytes], red
) -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[2:6, 2:6, 0] = image[10:14, 10:14, 0] = 255
    files = {"image": ("a.png", png(image))}

    def mask(**options: str) -> Pixels:
        answer = serve().post(URL, files=files, data=options, params={"format": "png"})
        return np.asarray(Image.open(io.BytesIO(answer.content))) > 0

    lower = np.zeros((16, 16), bool)
    lower[10:14, 10:14] = True
    assert (mask(points="11,12,1") == lower).all()
    assert (mask(points="3,3,0") == lower).all()
    boxed = mask(box="9.5,9.5,14.5,14.5")
    assert 0.8 < (boxed & lower).sum() / (boxed | lower).sum() <= 1
    assert [count for count, _ in red.calls] == [1, 1, 2]
    answer = serve().post(URL, files=files, data={"box": "1,1,17,2"})
    assert (answer.status_code, "not within the image" in answer.json()["detail"]) == (422, True)
    assert serve().post(URL, files=files, data={"box": "1,1,2"}).status_code == 422


def test_a_dicom_seg_says_that_a_box_was_given(serve: Serve, dicom: bytes) -> None:
    for given, kind in (({}, "AUTOMATIC"), ({"box": "2,2,12,10"}, "SEMIAUTOMATIC")):
        answer = serve().post(URL, files={"image": ("a.dcm", dicom)}, data={"format": "dicom", **given})
        found = highdicom.seg.segread(io.BytesIO(answer.content))
        assert found.get_segment_description(1).algorithm_type.value == kind
        assert ("by box or points" in found.ContentDescription) == bool(given)


def test_a_prompted_mask_has_no_expected_dice(serve: Serve, form: Form) -> None:
    found = serve().post(URL, params={"points": "5,5,1", "maps": True}, **form()).json()
    assert found["quality"]["expected_dice"] is None
    assert found["maps"]["samples"] == []
