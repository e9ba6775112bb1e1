/** Brush and eraser, by pointer and by keyboard. */

const FAR = 8;

/**
 * @typedef {object} Hand what the brush works for
 * @property {() => "look" | "brush" | "eraser"} tool
 * @property {(tool: string) => void} choose
 * @property {(change: number) => void} resize
 * @property {() => number} radius in the image's own pixels
 * @property {(place: [number, number]) => void} begin
 * @property {(place: [number, number]) => void} extend
 * @property {() => void} end
 */

/** @param {import("./viewer.js").Viewer} viewer @param {Hand} hand */
export function useBrush(viewer, hand) {
  usePointer(viewer, hand);
  useKeys(viewer, hand);
}

function usePointer(viewer, hand) {
  const { canvas } = viewer;
  const aim = (event) => {
    const [x, y] = viewer.place(event);
    viewer.cursor = hand.tool() === "look" ? null : { x, y, radius: hand.radius() };
    viewer.refresh();
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || hand.tool() === "look" || !viewer.result) return;
    canvas.setPointerCapture(event.pointerId);
    aim(event);
    hand.begin(viewer.place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!viewer.result) return;
    aim(event);
    if (canvas.hasPointerCapture(event.pointerId)) {
      for (const each of event.getCoalescedEvents?.() ?? [event]) hand.extend(viewer.place(each));
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => hand.end());
  canvas.addEventListener("pointerleave", () => {
    viewer.cursor = null;
    viewer.refresh();
  });
}

function useKeys(viewer, hand) {
  const { canvas } = viewer;
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const tools = { v: "look", b: "brush", e: "eraser" };
  let painting = false;
  const stop = () => {
    if (painting) hand.end();
    painting = false;
  };
  canvas.addEventListener("keydown", (event) => {
    if (!viewer.result || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in tools) hand.choose(tools[key]);
    else if (key === "[" || key === "]") hand.resize(key === "[" ? -1 : 1);
    else if (hand.tool() === "look") return;
    else if (key in steps) move(viewer, hand, steps[key], event.shiftKey, painting);
    else if (key === " " || key === "Enter") {
      if (!painting) hand.begin(cursorOf(viewer, hand));
      painting = true;
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("keyup", (event) => {
    if (event.key === " " || event.key === "Enter") stop();
  });
  canvas.addEventListener("blur", () => {
    stop();
    viewer.cursor = null;
    viewer.refresh();
  });
}

/** The brush's position; at first the middle of the image. @returns {[number, number]} */
function cursorOf(viewer, hand) {
  const { width, height } = viewer.result.source;
  viewer.cursor ??= { x: width / 2, y: height / 2, radius: 0 };
  viewer.cursor.radius = hand.radius();
  return [viewer.cursor.x, viewer.cursor.y];
}

function move(viewer, hand, [dx, dy], far, painting) {
  const [x, y] = cursorOf(viewer, hand);
  const { width, height } = viewer.result.source;
  const step = Math.max(1, hand.radius() / 3) * (far ? FAR : 1);
  viewer.cursor.x = Math.min(width, Math.max(0, x + dx * step));
  viewer.cursor.y = Math.min(height, Math.max(0, y + dy * step));
  viewer.reveal(viewer.cursor.x, viewer.cursor.y);
  if (painting) hand.extend([viewer.cursor.x, viewer.cursor.y]);
  viewer.refresh();
}
