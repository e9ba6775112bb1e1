/** Dialogs that a button opens, and the question before something is lost. */

const $ = (id) => document.getElementById(id);

export function useDialogs() {
  for (const name of ["options", "export", "help"]) {
    $(`open-${name}`).addEventListener("click", () => $(`${name}-box`).showModal());
  }
  $("open-help").addEventListener("click", showTool);
}

/** Scroll the help to the tool in use. */
function showTool() {
  const { tool } = $("canvas").dataset;
  const entry = tool === "view" ? null : document.querySelector(`#help-tools [data-tools~="${tool}"]`);
  entry?.scrollIntoView();
  entry?.focus();
}

/** @param {string} question @param {string} yes the button's text @returns {Promise<boolean>} */
export function confirmed(question, yes) {
  const dialog = $("confirm-box");
  $("confirm-text").textContent = question;
  $("confirm-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.onclose = () => done(dialog.returnValue === "yes");
  });
}
