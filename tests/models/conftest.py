from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _same_weights_each_time() -> Iterator[None]:
    """One thread: networks as small as these only wait for a second."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
