/** The API key of a server that needs one: asked for, and kept until the tab is closed. */

import { Problem } from "./status.js";

const STORED = "api-key";
/** @type {Promise<void> | null} */
let asking = null;

/** @returns {string | null} */
export function storedKey() {
  return sessionStorage.getItem(STORED);
}

/** Ask for the key, once for all requests that wait for it. @param {boolean} refused whether there was a key */
export function askForKey(refused) {
  asking ??= ask(refused).finally(() => (asking = null));
  return asking;
}

/** @param {boolean} refused @returns {Promise<void>} */
function ask(refused) {
  const dialog = document.getElementById("key-box");
  const form = document.getElementById("key-form");
  const input = document.getElementById("key");
  document.getElementById("key-refused").hidden = !refused;
  return new Promise((done, fail) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(STORED, input.value);
      input.value = "";
      done();
      dialog.close();
    };
    dialog.onclose = () => fail(new Problem("The server needs an API key", "reload the page to enter it", 401));
    dialog.showModal();
  });
}
