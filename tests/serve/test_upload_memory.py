from contextlib import ExitStack

import pytest

from mlffm_segdiff.serve.problem import RefusedError
from mlffm_segdiff.serve.upload_memory import UploadMemory


def test_memory_goes_from_the_upload_that_holds_most_for_longest_to_the_others() -> None:
    now = 0.0
    memory = UploadMemory(100, lambda: 7, lambda: now)
    stopped = []
    with memory.upload() as hoarder, memory.upload() as slow:
        hoarder.on_give_up = lambda: stopped.append("hoarder")
        slow.on_give_up = lambda: stopped.append("slow")
        hoarder.take(80)
        now = 10.0
        slow.take(5)  # 5 bytes for 10 s, the hoarder 80
        with memory.upload() as fast:
            now = 11.0
            fast.take(90)  # 90 bytes for 1 s
            fast.complete = True
            assert (stopped, memory.held) == (["hoarder"], 95)
            with pytest.raises(RefusedError) as refused:
                hoarder.take(1)
            assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "7")
            with pytest.raises(RefusedError):
                slow.take(10)  # a complete upload is kept
        assert memory.held == 0


def test_memory_is_never_above_its_limit() -> None:
    memory = UploadMemory(1000, lambda: 1)
    with ExitStack() as stack:
        for number in range(50):
            upload = stack.enter_context(memory.upload())
            try:
                upload.take(97)
                upload.complete = number % 3 == 0
            except RefusedError:
                pass
            assert memory.held <= 1000
    assert memory.held == 0
