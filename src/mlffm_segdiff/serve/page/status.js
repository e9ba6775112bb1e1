/** Status messages, visible and for screen readers. */

const SHOWN_MS = 6000;
let fading = 0;

/** @param {string} text @param {boolean} [fault] faults stay visible */
export function say(text, fault = false) {
  const status = document.getElementById("status");
  status.textContent = text;
  status.classList.toggle("fault", fault);
  status.classList.remove("past");
  clearTimeout(fading);
  if (!fault) fading = setTimeout(() => status.classList.add("past"), SHOWN_MS);
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
