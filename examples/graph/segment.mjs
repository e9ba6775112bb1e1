// Segment an image with an exported graph: node segment.mjs segmenter.onnx lesion.jpg mask.png
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";

const [graph, source, target] = process.argv.slice(2);
const session = await InferenceSession.create(graph);
const side = session.inputMetadata[0].shape[1];
const upright = sharp(source).rotate().toColourspace("srgb").removeAlpha().raw();
const { data, info } = await upright.toBuffer({ resolveWithObject: true });
const pixels = await sharp(data, { raw: info }).resize(side, side, { fit: "fill", kernel: "linear" }).toBuffer();
const input = new Tensor("uint8", new Uint8Array(pixels), [1, side, side, 3]);
const { probability } = await session.run({ image: input });
const levels = Buffer.from(probability.data.map((value) => Math.round(255 * value)));
const map = sharp(levels, { raw: { width: side, height: side, channels: 1 } });
const atSource = await map.resize(info.width, info.height, { fit: "fill", kernel: "linear" }).png().toBuffer();
await sharp(atSource).threshold(128).toColourspace("b-w").png().toFile(target);
