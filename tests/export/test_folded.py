from pathlib import Path

import torch

from mlffm_segdiff.export.folder import write_export
from mlffm_segdiff.segmenters.pretrained import Pretrained
from mlffm_segdiff.segmenters.recipe import load_recipe

CHANGES = ["data.size=64", "model.mask_widths=[8, 16]", "model.detail_width=4", "model.fusion_width=4"]


def test_batch_norm_is_folded_in_graphs_and_stays_in_the_weights(tmp_path: Path) -> None:
    pretrained = Pretrained(recipe=load_recipe("isic2018", CHANGES).model_dump(mode="json"))
    network = pretrained.segmenter.eval().network
    for name, value in network.named_buffers():
        if "running" in name:
            value.mul_(1 + 0.1 * torch.rand_like(value)).add_(0.01)
    write_export(pretrained, "torch", tmp_path / "graphs")
    graph = torch.export.load(tmp_path / "graphs" / "encoder.pt2")
    assert not any("batch_norm" in str(node.target) for node in graph.graph.nodes)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        for found, expected in zip(graph.module()(image), network.encode(image), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
