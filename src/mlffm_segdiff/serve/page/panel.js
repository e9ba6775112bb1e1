/** The panel next to the image: measures and flags of a result. */

import { SAMPLE_COLOURS } from "./colours.js";
import { element } from "./status.js";

/** Names and units of measures; others are shown by their column's name. */
const NAMES = {
  area: ["Area", "px"],
  area_share: ["Share of the image", "%"],
  components: ["Components"],
  perimeter: ["Perimeter", "px"],
  equivalent_diameter: ["Equivalent diameter", "px"],
  area_mm2: ["Area", "mm²"],
  perimeter_mm: ["Perimeter", "mm"],
  equivalent_diameter_mm: ["Equivalent diameter", "mm"],
  centroid_x: ["Centre, from the left", "px"],
  centroid_y: ["Centre, from the top", "px"],
  box_left: ["Box, left", "px"],
  box_top: ["Box, top", "px"],
  box_width: ["Box, width", "px"],
  box_height: ["Box, height", "px"],
  asymmetry_major: ["Asymmetry, long axis"],
  asymmetry_minor: ["Asymmetry, short axis"],
};
const MAIN = new Set(
  "area area_share components perimeter equivalent_diameter".split(" ").flatMap((name) => [
    name, `${name}_mm`, `${name}_mm2`,
  ]),
);
const FLAGS = {
  not_dermoscopy: "This is not a dermoscopic image like the training images",
  nothing_found: "No lesion was found",
  touches_frame: "The lesion touches the frame",
  several_components: "The lesion has several components",
  blurred: "The image is blurred",
  too_dark: "The image is too dark",
  unusual_colour: "The colours are unusual for dermoscopy",
};
const HIDDEN = ["mean_spread"];

/** @param {Record<string, number | null>} measures those of MAIN first, the others folded away */
export function showMeasures(measures) {
  const known = Object.entries(measures).filter(([name, value]) => value !== null && !HIDDEN.includes(name));
  for (const [id, main] of [["main-measures", true], ["more-measures", false]]) {
    const rows = known.filter(([name]) => MAIN.has(name) === main).map(([name, value]) => measureRow(name, value));
    document.getElementById(id).tBodies[0].replaceChildren(...rows);
  }
}

/** @param {HTMLElement} list @param {string[]} flags */
export function showFlags(list, flags) {
  list.hidden = flags.length === 0;
  list.replaceChildren(...flags.map((flag) => element("li", flagText(flag))));
}

/** @param {string} flag of the REST API @returns {string} */
export function flagText(flag) {
  return FLAGS[flag] ?? sentence(flag);
}

/**
 * @param {HTMLElement} box @param {number} count of samples @param {boolean[]} shown
 * @param {() => void} changed called when a switch is moved
 */
export function showSampleSwitches(box, count, shown, changed) {
  const switches = Array.from({ length: count > 1 ? count : 0 }, (_, number) => {
    const input = Object.assign(document.createElement("input"), { type: "checkbox", checked: shown[number] ?? false });
    input.setAttribute("role", "switch");
    input.addEventListener("change", () => {
      shown[number] = input.checked;
      changed();
    });
    const dot = element("span", "", "dot");
    dot.style.background = SAMPLE_COLOURS[number % SAMPLE_COLOURS.length];
    const label = element("label", "", "switch");
    label.append(input, ` Sample ${number + 1}`, dot);
    return label;
  });
  box.replaceChildren(...switches);
}

function measureRow(name, value) {
  const [label, unit = ""] = NAMES[name] ?? [sentence(name)];
  const row = document.createElement("tr");
  const head = element("th", label);
  head.scope = "row";
  const shown = unit === "%" ? 100 * value : value;
  row.append(head, element("td", `${number(shown)} ${unit}`.trim()));
  row.dataset.measure = name;
  return row;
}

/** At most two digits after the point, and two digits of a small number. */
function number(value) {
  const digits = Math.abs(value) < 0.01 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 };
  return value.toLocaleString("en", digits);
}

function sentence(name) {
  const words = name.replaceAll(/[_-]/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
