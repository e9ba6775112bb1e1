/** The strip of images, one button each, shown for two or more. */

import { element } from "./panel.js";

/**
 * @param {import("./case.js").Case[]} cases @param {import("./case.js").Case} shown
 * @param {(one: import("./case.js").Case) => void} select
 */
export function showStrip(cases, shown, select) {
  const list = document.getElementById("cases");
  const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
  const items = cases.map((one) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.setAttribute("aria-current", String(one === shown));
    const state = one.problem ? "not segmented" : one.result ? "done" : "working …";
    button.append(element("span", one.name, "name"), element("span", state, one.problem ? "hint failed" : "hint"));
    button.addEventListener("click", () => select(one));
    const item = element("li", "");
    item.append(button);
    return item;
  });
  document.getElementById("cases-box").hidden = cases.length < 2;
  list.replaceChildren(...items);
  items[focused]?.firstElementChild.focus();
}
