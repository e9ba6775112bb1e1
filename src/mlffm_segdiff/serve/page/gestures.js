/** Pointer, wheel and keyboard on the image: they move the view or work the tool. */

const WHEEL = 0.0015;
const LINE_PX = 16;
const FAR = 8;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN_PX = 40;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("./editor.js").Editor} editor
 * @param {() => import("./tools.js").Tool | null} tool the current one; null: the view is moved
 */
export function useGestures(canvas, editor, tool) {
  const space = { held: false, pointer: false };
  useWheel(canvas, editor.view);
  usePointers(canvas, editor, () => (space.held ? null : tool()), space);
  useKeys(canvas, editor, tool, space);
}

function useWheel(canvas, view) {
  canvas.addEventListener("wheel", (event) => {
    if (!view.result) return;
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1;
    const box = canvas.getBoundingClientRect();
    if (event.shiftKey) view.pan(-unit * (event.deltaX || event.deltaY), 0);
    else view.zoom(Math.exp(-unit * event.deltaY * WHEEL * (event.ctrlKey ? 4 : 1)), event.clientX - box.left,
      event.clientY - box.top);
  }, { passive: false });
}

function usePointers(canvas, editor, tool, space) {
  const { view } = editor;
  /** @type {Map<number, {x: number, y: number}>} */
  const down = new Map();
  /** @type {import("./tools.js").Tool | null} */
  let working = null;
  const at = ({ clientX, clientY }) => ({ x: clientX, y: clientY });
  const aim = (event) => {
    space.pointer = true;
    editor.cursor = event.pointerType === "touch" || !tool() ? null : view.place(event);
    view.refresh();
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!view.result || event.button > 1) return;
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    if (down.size > 1) {
      working?.cancel?.();
      working = null;
      return;
    }
    aim(event);
    working = event.button === 0 ? tool() : null;
    working?.begin(view.place(event), event.altKey);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!view.result) return;
    aim(event);
    const last = down.get(event.pointerId);
    if (!last) return;
    if (working) {
      for (const each of event.getCoalescedEvents?.() ?? [event]) working.extend?.(view.place(each));
      return;
    }
    const before = span(canvas, down);
    down.set(event.pointerId, at(event));
    const after = span(canvas, down);
    if (before.size) view.zoom(after.size / before.size, before.x, before.y);
    view.pan(after.x - before.x, after.y - before.y);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      down.delete(event.pointerId);
      if (kind === "pointerup") working?.end?.();
      else working?.cancel?.();
      working = null;
    });
  }
  canvas.addEventListener("pointerleave", () => {
    space.pointer = false;
    editor.cursor = null;
    if (view.result) view.refresh();
  });
}

/** The middle of the pointers that are down, and the distance of two; 0 for one. */
function span(canvas, down) {
  const points = [...down.values()];
  const box = canvas.getBoundingClientRect();
  const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const size = points.length > 1 ? Math.hypot(points[0].x - points[1].x, points[0].y - points[1].y) : 0;
  return { x: mean("x") - box.left, y: mean("y") - box.top, size };
}

/** Arrows move the cursor, Enter and Space work the tool; with the pointer on the image, Space pans. */
function useKeys(canvas, editor, tool, space) {
  const { view } = editor;
  let working = null;
  const stop = () => {
    working?.end?.();
    working = null;
    space.held = false;
  };
  canvas.addEventListener("keydown", (event) => {
    if (!view.result || event.ctrlKey || event.metaKey || event.altKey) return;
    const current = tool();
    if (event.key === "Escape" && current?.cancel) {
      working = null;
      current.cancel();
    } else if (current?.press?.(event.key)) {
      // the tool used it
    } else if (event.key in ARROWS) {
      if (current) moveCursor(editor, ARROWS[event.key], event.shiftKey, working);
      else view.pan(...ARROWS[event.key].map((way) => -way * PAN_PX));
      space.pointer = false;
    } else if (event.key === " " && (space.pointer || !current)) {
      space.held = true;
    } else if (current && (event.key === " " || event.key === "Enter")) {
      if (!event.repeat) (working = current).begin(cursorOf(editor));
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("keyup", (event) => {
    if (event.key === " " || event.key === "Enter") stop();
  });
  canvas.addEventListener("blur", () => {
    stop();
    editor.cursor = null;
    if (view.result) view.refresh();
  });
}

/** Where the keyboard works; at first the middle of the image. @returns {import("./mask.js").Point} */
function cursorOf(editor) {
  editor.cursor ??= [editor.result.width / 2, editor.result.height / 2];
  return editor.cursor;
}

function moveCursor(editor, [dx, dy], far, working) {
  const [x, y] = cursorOf(editor);
  const { width, height } = editor.result;
  const step = Math.max(1, editor.radius / 3) * (far ? FAR : 1);
  editor.cursor = [Math.min(width, Math.max(0, x + dx * step)), Math.min(height, Math.max(0, y + dy * step))];
  editor.view.reveal(...editor.cursor);
  working?.extend?.(editor.cursor);
  editor.view.refresh();
}
