/** Sends images to the server, several at once so that it can segment them in one batch. */

import { segment } from "./api.js";
import { Result } from "./case.js";
import { asProblem } from "./status.js";

const AT_ONCE = 4;

export class Sender {
  /** @param {(one: import("./case.js").Case) => void} done called with each case once it is answered */
  constructor(done) {
    this.done = done;
    this.waiting = [];
    this.running = 0;
  }

  /** @param {import("./case.js").Case[]} cases */
  send(cases) {
    this.waiting.push(...cases);
    while (this.running < AT_ONCE && this.waiting.length) this.#next();
  }

  async #next() {
    this.running += 1;
    const one = this.waiting.shift();
    one.problem = null;
    try {
      const answer = await segment(one.file, one.options);
      one.result = new Result(answer, await decoded(answer.preview));
    } catch (error) {
      one.problem = asProblem(error);
    }
    this.running -= 1;
    this.done(one);
    this.send([]);
  }
}

/** @param {string} url of an image's bytes @returns {Promise<ImageBitmap>} */
async function decoded(url) {
  const image = Object.assign(new Image(), { src: url });
  await image.decode();
  return createImageBitmap(image);
}
