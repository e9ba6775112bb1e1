/** Steps that can be undone and redone. @template State */
export class History {
  /** @param {State} first */
  constructor(first) {
    this.past = [];
    this.now = first;
    this.future = [];
  }

  /** @param {State} state */
  push(state) {
    this.past.push(this.now);
    this.now = state;
    this.future = [];
  }

  /** @returns {boolean} whether there was a step to undo */
  undo() {
    return this.#move(this.past, this.future);
  }

  /** @returns {boolean} whether there was a step to redo */
  redo() {
    return this.#move(this.future, this.past);
  }

  #move(from, to) {
    if (!from.length) return false;
    to.push(this.now);
    this.now = from.pop();
    return true;
  }
}
