/** What each key does. */

import { setBrush } from "./controls.js";
import { useKeys } from "./keys.js";

/**
 * @param {import("./editor.js").Editor} editor
 * @param {(name: string) => void} chooseTool
 * @param {Record<string, () => void>} zoom
 * @param {Record<string, () => void>} commands of the list
 */
export function useShortcuts(editor, chooseTool, zoom, commands) {
  const press = (id) => () => document.getElementById(id).click();
  const hide = (hidden) => () => {
    editor.view.layers.hidden = hidden;
    editor.view.refresh();
  };
  useKeys([
    { key: "v", label: "View", run: () => chooseTool("view") },
    { key: "o", label: "Box", run: () => chooseTool("box") },
    { key: "t", label: "Points", run: () => chooseTool("points") },
    { key: "b", label: "Brush", run: () => chooseTool("brush") },
    { key: "e", label: "Eraser", run: () => chooseTool("eraser") },
    { key: "l", label: "Lasso", run: () => chooseTool("lasso") },
    { key: "p", label: "Polygon", run: () => chooseTool("polygon") },
    { key: "n", label: "Nodes", run: () => chooseTool("nodes") },
    { key: "f", label: "Fill", run: () => chooseTool("fill") },
    { key: "x", label: "Lasso and polygon add or remove; points mark lesion or not", run: press("removing") },
    { key: "[", label: "Smaller brush", run: () => setBrush(editor, editor.brush - 2) },
    { key: "]", label: "Larger brush", run: () => setBrush(editor, editor.brush + 2) },
    { key: "j", label: "Next image", run: commands.next },
    { key: "k", label: "Previous image", run: commands.previous },
    { key: "a", label: "Accept, and next", run: commands.accept },
    { key: "r", label: "Reject, and next", run: commands.reject },
    { key: "delete", label: "Remove the image from the list", run: commands.remove },
    { key: "0", label: "Fit", run: zoom.fit },
    { key: "1", label: "1:1", run: zoom.one },
    { key: "+", label: "Zoom in", run: zoom.in },
    { key: "-", label: "Zoom out", run: zoom.out },
    { key: "c", label: "Compare with the image", run: press("show-compare") },
    { key: "h", label: "Hide the mask while held", run: hide(true), up: hide(false) },
    { key: "?", label: "Help", run: press("open-help") },
    { key: "arrows, Shift", label: "On the image: move the tool, faster; in View, pan" },
    { key: "Space, Enter", label: "On the image: use the tool; Space pans while the pointer is on it" },
    { key: "Escape, Backspace", label: "Cancel; remove the box, the last point or the last corner" },
    { key: "Alt and click", label: "Points: mark the opposite" },
    { key: ", and .", label: "Choose a node" },
    { key: "Ctrl+Z, Ctrl+Shift+Z", label: "Undo, redo" },
  ]);
}
