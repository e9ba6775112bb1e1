"""Segment an image with an exported graph: python segment.py segmenter.onnx lesion.jpg mask.png"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

graph, source, target = sys.argv[1:]
session = onnxruntime.InferenceSession(graph)
about = session.get_modelmeta().custom_metadata_map
side, threshold = int(about["size"]), float(about["threshold"])
image = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
pixels = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
(probability,) = session.run(["probability"], {"image": pixels[None]})
full_size = Image.fromarray(probability[0, 0]).resize(image.size, Image.Resampling.BILINEAR)
Image.fromarray(np.uint8(255) * (np.asarray(full_size) >= threshold)).save(target)
