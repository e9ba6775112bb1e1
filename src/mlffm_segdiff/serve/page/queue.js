/** The list of images: order, filter, and which one is shown. */

/** @typedef {import("./case.js").Case} Case */

const FILTERS = {
  all: () => true,
  open: (one) => ["new", "seen", "corrected"].includes(one.status),
  flagged: (one) => one.flags.length > 0,
  corrected: (one) => one.corrected,
  accepted: (one) => one.status === "accepted",
  rejected: (one) => one.status === "rejected",
  failed: (one) => one.status === "failed",
  waiting: (one) => one.status === "waiting",
};

const ORDERS = {
  added: () => 0,
  name: (one, other) => one.name.localeCompare(other.name, "en", { numeric: true }),
  doubt: (one, other) => doubt(other) - doubt(one),
};

/** Flags first, then the lower end of the interval of the expected Dice, or the value itself. */
function doubt(one) {
  const expected = one.expectedDice;
  const certainty = expected ? (expected.low ?? expected.value) : (one.measured?.numbers.quality?.certainty ?? 0.5);
  return (one.flags.length ? 1 : 0) + (1 - certainty);
}

export class Queue {
  constructor() {
    /** All, as they were added. @type {Case[]} */
    this.cases = [];
    /** @type {Case | null} */
    this.shown = null;
    this.filter = "all";
    this.order = "added";
    this.search = "";
  }

  /** Those that pass the filter, in the chosen order. @returns {Case[]} */
  get listed() {
    const search = this.search.toLowerCase();
    return this.cases
      .filter((one) => FILTERS[this.filter](one) && one.name.toLowerCase().includes(search))
      .sort(ORDERS[this.order]);
  }

  /** @param {1 | -1} way @returns {Case | null} the one listed after or before the shown one */
  neighbour(way) {
    const { listed } = this;
    const place = listed.indexOf(this.shown);
    if (place >= 0) return listed[place + way] ?? null;
    return (way > 0 ? listed[0] : listed.at(-1)) ?? null;
  }

  /** @param {Case[]} removed */
  remove(removed) {
    const gone = new Set(removed);
    this.cases = this.cases.filter((one) => !gone.has(one));
    if (gone.has(this.shown)) this.shown = null;
  }
}
