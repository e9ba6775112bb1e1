/** Status messages, visible and for screen readers, and other text on the page. */

/** @param {string} text @param {boolean} [fault] */
export function say(text, fault = false) {
  const status = document.getElementById("status");
  status.textContent = text;
  status.classList.toggle("fault", fault);
}

/** @param {unknown} error @param {string} outcome what happened to the request */
export function sayProblem(error, outcome) {
  const { message, hint } = asProblem(error);
  say(`${message}: ${outcome}. ${capital(hint)}.`, true);
}

/** @param {unknown} error @returns {{message: string, hint: string, status: number}} */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  return new Problem(`The page has a fault (${error})`, "reload it");
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What went wrong, and how to fix it. */
export class Problem extends Error {
  /** @param {string} detail @param {string} hint @param {number} [status] HTTP's; 0: no answer */
  constructor(detail, hint, status = 0) {
    super(detail);
    this.hint = hint;
    this.status = status;
  }
}

/** @param {string} tag @param {string} text @param {string} [kind] its class @returns {HTMLElement} */
export function element(tag, text, kind = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className: kind });
}
