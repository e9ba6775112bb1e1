/** Where images come from: chosen, dropped, pasted, or one of the package's samples. */

import { ask } from "./api.js";
import { element } from "./status.js";

/** @param {(files: File[]) => void} take */
export function useIntake(take) {
  for (const input of document.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      take([...input.files]);
      input.value = "";
    });
  }
  const { classList } = document.body;
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
  addEventListener("dragover", () => classList.add("over"));
  for (const kind of ["drop", "dragleave", "dragend"]) addEventListener(kind, () => classList.remove("over"));
  addEventListener("drop", (event) => take([...(event.dataTransfer?.files ?? [])]));
  addEventListener("paste", (event) => take([...(event.clipboardData?.files ?? [])]));
}

/** @param {string[]} names @param {(files: File[]) => void} take @param {(error: Error) => void} failed */
export function showSamples(names, take, failed) {
  const items = names.map((name, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const image = Object.assign(new Image(), { src: `samples/${name}`, alt: `Sample ${index + 1}`, loading: "lazy" });
    button.append(image);
    button.addEventListener("click", () => fetchFile(name).then((file) => take([file]), failed));
    const item = element("li", "");
    item.append(button);
    return item;
  });
  document.getElementById("samples").replaceChildren(...items);
}

async function fetchFile(name) {
  const content = await (await ask(`samples/${name}`)).blob();
  return new File([content], name, { type: content.type });
}
