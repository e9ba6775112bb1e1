/** Keys that work anywhere on the page, and their list in the help. */

import { element } from "./status.js";

const STORED = "single-keys";
const TEXT_FIELDS = "input:not([type=range], [type=checkbox], [type=radio], [type=file]), select, textarea";

/**
 * @typedef {{key: string, label: string, run?: () => void, up?: () => void}} Shortcut `key` as in
 *   KeyboardEvent.key, in lower case; without `run` it is only listed
 * @param {Shortcut[]} shortcuts
 */
export function useKeys(shortcuts) {
  const runs = new Map(shortcuts.filter(({ run }) => run).map((shortcut) => [shortcut.key, shortcut]));
  const single = document.getElementById("single-keys");
  single.checked = localStorage.getItem(STORED) !== "off";
  single.addEventListener("change", () => localStorage.setItem(STORED, single.checked ? "on" : "off"));
  addEventListener("keydown", (event) => {
    const busy = event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !single.checked
      || event.target.matches?.(TEXT_FIELDS) || document.querySelector("dialog[open]");
    const shortcut = busy ? null : runs.get(event.key.toLowerCase());
    if (!shortcut || (event.repeat && shortcut.up)) return;
    event.preventDefault();
    shortcut.run();
  });
  addEventListener("keyup", (event) => runs.get(event.key?.toLowerCase())?.up?.());
  addEventListener("blur", () => runs.forEach(({ up }) => up?.()));
  document.getElementById("keys").tBodies[0].replaceChildren(...shortcuts.map(({ key, label }) => {
    const row = document.createElement("tr");
    const head = element("th", "");
    head.scope = "row";
    head.append(element("kbd", key.charAt(0).toUpperCase() + key.slice(1)));
    row.append(head, element("td", label));
    return row;
  }));
}
