"use strict";

const list = document.getElementById("cases");
const controls = document.getElementById("controls");
const cases = [...list.children];
const place = new Map(cases.map((item, index) => [item, index]));

const orders = {
  uncertainty: (a, b) => place.get(a) - place.get(b),
  name: (a, b) => a.dataset.image.localeCompare(b.dataset.image, undefined, { numeric: true }),
  area: (a, b) => Number(b.dataset.area || -1) - Number(a.dataset.area || -1),
};

function wanted(item, { text, most, marks }) {
  const own = item.dataset.flags.split(" ");
  const maskless = own.includes("failed") || own.includes("refused");
  const confidence = item.dataset.confidence;
  return item.dataset.image.toLowerCase().includes(text)
    && (most === "" || maskless || (confidence !== "" && Number(confidence) <= Number(most)))
    && (!marks.length || marks.some((mark) => own.includes(mark)));
}

function filter() {
  const values = new FormData(controls);
  const criteria = {
    text: values.get("text").trim().toLowerCase(),
    most: values.get("most"),
    marks: values.getAll("mark"),
  };
  let shown = 0;
  for (const item of cases) {
    item.hidden = !wanted(item, criteria);
    shown += !item.hidden;
  }
  document.getElementById("count").textContent = `${shown} of ${cases.length} shown`;
  document.getElementById("none").hidden = shown > 0;
}

function sort() {
  list.append(...[...cases].sort(orders[controls.elements.order.value]));
}

// The rule of data/csv_text.py: no cell starts a formula.
function csvCell(value) {
  const raw = value === null || value === undefined ? "" : String(value);
  const formula = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(raw)
    && !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(raw);
  const text = formula ? `'${raw}` : raw;
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function table() {
  const rows = [...list.children].filter((item) => !item.hidden)
    .map((item) => JSON.parse(item.dataset.cells).map(csvCell).join(","));
  return [list.dataset.columns, ...rows].join("\n") + "\n";
}

function showNumbers({ target }) {
  const details = target.closest("details");
  if (!details.open || details.querySelector("dl")) return;
  const columns = list.dataset.columns.split(",");
  const values = JSON.parse(details.closest("li.case").dataset.cells);
  const numbers = document.createElement("dl");
  columns.forEach((name, index) => {
    const line = numbers.appendChild(document.createElement("div"));
    line.appendChild(document.createElement("dt")).textContent = name.replaceAll("_", " ");
    line.appendChild(document.createElement("dd")).textContent = values[index];
  });
  details.append(numbers);
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  link.download = "cases.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

list.addEventListener("toggle", showNumbers, true);
controls.addEventListener("input", filter);
controls.elements.order.addEventListener("change", sort);
controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("reset", () => setTimeout(() => { sort(); filter(); }));
document.getElementById("download").addEventListener("click", download);
controls.hidden = false;
list.classList.add("live");
document.getElementById("still").hidden = true;
sort();
filter();
