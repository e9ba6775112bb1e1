/** The list of images on the screen: only the rows in sight exist. */

import { estimateText } from "./case.js";
import { flagText } from "./panel.js";
import { element } from "./status.js";

const ROW_PX = 60;
const SPARE_ROWS = 4;
const STATUS = {
  waiting: "waiting …", failed: "failed", new: "new", seen: "seen", corrected: "corrected", accepted: "accepted",
  rejected: "rejected",
};

export class List {
  /** @param {HTMLElement} box that scrolls @param {(one: import("./case.js").Case) => void} select */
  constructor(box, select) {
    this.box = box;
    this.rows = box.querySelector("ul");
    /** @type {import("./case.js").Case[]} */
    this.listed = [];
    this.shown = null;
    /** Addresses of thumbnails in sight. @type {Map<string, string>} */
    this.thumbnails = new Map();
    box.addEventListener("scroll", () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(box);
    this.rows.addEventListener("click", (event) => {
      const row = event.target.closest("li");
      if (row) select(this.listed[Number(row.dataset.place)]);
    });
    this.rows.addEventListener("keydown", (event) => {
      const place = this.listed.indexOf(this.shown);
      const to = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: this.listed.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      if (this.listed[to]) select(this.listed[to]);
    });
  }

  /** @param {import("./case.js").Case[]} listed @param {import("./case.js").Case | null} shown */
  show(listed, shown) {
    const moved = shown !== this.shown;
    this.listed = listed;
    this.shown = shown;
    this.rows.style.height = `${listed.length * ROW_PX}px`;
    if (moved) this.#reveal(listed.indexOf(shown));
    this.#draw();
  }

  #reveal(place) {
    if (place < 0) return;
    const top = place * ROW_PX;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + ROW_PX > scrollTop + clientHeight) this.box.scrollTop = top + ROW_PX - clientHeight;
  }

  #draw() {
    const { scrollTop, clientHeight } = this.box;
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - SPARE_ROWS);
    const end = Math.min(this.listed.length, Math.ceil((scrollTop + clientHeight) / ROW_PX) + SPARE_ROWS);
    const inSight = this.listed.slice(first, end);
    this.#release(new Set(inSight.map(({ id }) => id)));
    this.rows.replaceChildren(...inSight.map((one, index) => this.#row(one, first + index)));
    const active = this.rows.querySelector("[aria-selected=true]");
    if (active) this.rows.setAttribute("aria-activedescendant", active.id);
    else this.rows.removeAttribute("aria-activedescendant");
  }

  #row(one, place) {
    const row = element("li", "");
    row.id = `row-${one.id}`;
    row.dataset.place = String(place);
    row.dataset.status = one.status;
    row.style.top = `${place * ROW_PX}px`;
    row.title = one.name;
    for (const [name, value] of Object.entries({
      role: "option", "aria-selected": one === this.shown, "aria-setsize": this.listed.length,
      "aria-posinset": place + 1,
    })) row.setAttribute(name, String(value));
    const text = element("span", "", "text");
    text.append(nameOf(one.name), detailOf(one));
    row.append(this.#thumbnail(one), text);
    return row;
  }

  #thumbnail(one) {
    if (!one.thumbnail) return element("span", "", "thumbnail");
    if (!this.thumbnails.has(one.id)) this.thumbnails.set(one.id, URL.createObjectURL(one.thumbnail));
    return Object.assign(new Image(), { src: this.thumbnails.get(one.id), alt: "", className: "thumbnail" });
  }

  #release(inSight) {
    for (const [id, url] of this.thumbnails) {
      if (inSight.has(id)) continue;
      URL.revokeObjectURL(url);
      this.thumbnails.delete(id);
    }
  }
}

/** A long name is cut in its middle: names of a series differ at their end. */
function nameOf(name) {
  const whole = element("span", "", "name");
  const cut = Math.max(0, name.length - 12);
  whole.append(element("span", name.slice(0, cut), "start"), element("span", name.slice(cut), "end"));
  return whole;
}

function detailOf(one) {
  const line = element("span", "", "detail");
  line.append(element("span", STATUS[one.status], `status ${one.status}`));
  const expected = one.expectedDice;
  if (expected && !one.corrected) line.append(element("span", `Dice ${estimateText(expected)}`));
  if (one.flags.length) {
    const flag = element("span", "⚑", "flag");
    flag.title = one.flags.map(flagText).join(", ");
    flag.setAttribute("role", "img");
    flag.setAttribute("aria-label", flag.title);
    line.append(flag);
  }
  return line;
}
