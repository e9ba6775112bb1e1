"""Files to masks, as a stream: while the network works, threads read the next and write the last."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.products import Product
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.data.datasets.nnunet_export import write_dataset
from mlffm_segdiff.data.datasets.nnunet_raw import DATASET_FILE
from mlffm_segdiff.inference.measures.case import measure_case
from mlffm_segdiff.inference.model import Answer, Model, answer_pictures
from mlffm_segdiff.inference.outputs.coco import CocoCase, coco_case, coco_file
from mlffm_segdiff.inference.outputs.dicom_seg import NoSourceError
from mlffm_segdiff.inference.outputs.output import Output, check_output
from mlffm_segdiff.inference.outputs.products import check_case, write_of_mask, write_of_prediction
from mlffm_segdiff.inference.pool import helper_count, helping_threads, in_order, large_in_turn
from mlffm_segdiff.inference.postprocessing import DEFAULT, PostProcessing
from mlffm_segdiff.inference.prediction import check_threshold, predict_source
from mlffm_segdiff.inference.quality import case_certainty, expected_dice, flags
from mlffm_segdiff.inference.reading import FilePicture, check_batch_size, read_picture
from mlffm_segdiff.inference.review.card import Card, case_card
from mlffm_segdiff.inference.review.page import review_page
from mlffm_segdiff.inference.sources import Source
from mlffm_segdiff.inference.table import Row, write_rows
from mlffm_segdiff.segmenters.at_source import THRESHOLD


@dataclass(frozen=True)
class _Unreadable:
    source: Source
    reason: str


_Read = FilePicture | _Unreadable
_Answered = tuple[FilePicture, Answer] | _Unreadable


@dataclass(frozen=True)
class _Written:
    row: Row
    coco: CocoCase | None = None
    card: Card | None = None


def predict_files(
    images: Sequence[Source],
    model: Model,
    output: Output,
    threshold: float = THRESHOLD,
    batch_size: int = 8,
    mm_per_pixel: float | None = None,
    post: PostProcessing = DEFAULT,
) -> Iterator[Row]:
    """Segment the files, write what `output` asks for, and yield each file's row of the table in order.

    A file that cannot be read, or of which a product cannot be made, gives a row with status failed and stops
    no other. Memory does not grow with the number of files. The table appears after the last file.

    Args:
        images: Paths or what `find_images` found, no two of one name before the ending.
        model: What segments them.
        output: Where results go, and which.
        threshold: Probability from which a pixel is lesion, above 0 and at most 1.
        batch_size: Images segmented at once; changes speed only.
        mm_per_pixel: Side of a pixel in millimetres, used instead of what the files say.
        post: Post-processing of the masks, which all outputs and measures are made from.

    Raises:
        UserError: `output` cannot be written or would overwrite an image, or a number is out of range.
    """
    check_threshold(threshold)
    check_batch_size(batch_size)
    check_mm_per_pixel(mm_per_pixel)
    check_output(output, model.sampling.samples)
    _refuse_overwriting(images, output)
    helpers = helper_count()
    ahead = batch_size + helpers  # a whole batch is read, and one written, while the network works on another
    with helping_threads(helpers) as pool:
        read = in_order(pool, partial(_read, model.size, output, mm_per_pixel), images, ahead)
        answered = _answer(model, read, batch_size)
        write = partial(_write, output=output, threshold=threshold, post=post, model=model)
        rows = _of_all(in_order(pool, write, answered, ahead), output)
        yield from write_rows(rows, output.table)


def check_mm_per_pixel(mm_per_pixel: float | None) -> float | None:
    """Return the millimetres a pixel. Raises UserError unless they are above 0, or None."""
    if mm_per_pixel is not None and not (mm_per_pixel > 0 and math.isfinite(mm_per_pixel)):
        raise UserError(f"{mm_per_pixel} millimetres a pixel are out of range; give a number above 0")
    return mm_per_pixel


def _read(size: int, output: Output, mm_per_pixel: float | None, source: Source) -> _Read:
    """Return the source's picture, its bytes too where a product needs them, or why there is none."""
    try:
        file = read_picture(source, size)
        check_case(file, output)
    except UserError as error:
        return _Unreadable(source, str(error))
    data = file.data if output.needs_bytes else b""
    return replace(file, data=data, mm_per_pixel=mm_per_pixel or file.mm_per_pixel)


def _answer(model: Model, files: Iterable[_Read], batch_size: int) -> Iterator[_Answered]:
    stream = iter(files)
    while chunk := list(islice(stream, batch_size)):
        pictures = [file.picture for file in chunk if isinstance(file, FilePicture)]
        answers = iter(answer_pictures(model, pictures))
        yield from ((file, next(answers)) if isinstance(file, FilePicture) else file for file in chunk)


def _write(
    answered: _Answered, output: Output, threshold: float, post: PostProcessing, model: Model
) -> _Written:
    if isinstance(answered, _Unreadable):
        row = Row(answered.source.name, status="failed", error=answered.reason)
        return _Written(row, card=Card(row))
    file, answer = answered
    try:
        return _write_case(file, answer, output, threshold, post, model)
    except NoSourceError as error:
        return _failed(file.source, f"{file.source}: {error}")


def _failed(source: Source, reason: str) -> _Written:
    row = Row(source.name, status="failed", error=reason)
    return _Written(row, card=Card(row))


def _write_case(
    file: FilePicture, answer: Answer, output: Output, threshold: float, post: PostProcessing, model: Model
) -> _Written:
    with large_in_turn(file.picture.width * file.picture.height):
        prediction = predict_source(answer, threshold, post)
        write_of_prediction(file, prediction, output)
        measures = measure_case(file.view, prediction, file.mm_per_pixel)
        case = coco_case(prediction, file.source.name) if Product.COCO in output.products else None
        mask = prediction.mask
        del prediction  # its maps, eight times as large, are not held beside a decoded picture
        write_of_mask(file, mask, output)
    if model.sampling.samples < 2:
        measures = replace(measures, mean_spread=None)
    row = Row(
        file.source.name,
        file.picture.width,
        file.picture.height,
        expected_dice(answer, model, threshold, post),
        case_certainty(answer),
        " ".join(flags(mask, measures.parts, file.picture.small, model.quality)),
        measures,
    )
    return _Written(row, case, case_card(row, file, output))


def _of_all(written: Iterable[_Written], output: Output) -> Iterator[Row]:
    """Pass the rows on; write what is one file for all of them."""
    with ExitStack() as stack:
        add_coco = stack.enter_context(coco_file(output.coco)) if Product.COCO in output.products else None
        add_card = (
            stack.enter_context(review_page(output.review_page))
            if Product.REVIEW in output.products
            else None
        )
        for one in written:
            if add_coco and one.coco:
                add_coco(one.coco)
            if add_card and one.card:
                add_card(one.card)
            yield one.row
    if Product.NNUNET in output.products:
        with atomic_write(output.nnunet / DATASET_FILE) as temporary:
            write_dataset(temporary, "predictions", 0)


def _refuse_overwriting(images: Sequence[Source], output: Output) -> None:
    written = {folder.resolve() for folder in output.picture_folders}
    for path in images:
        if isinstance(path, Path) and path.resolve().parent in written:
            raise UserError(f"{path} lies where results are written; choose another output folder")
