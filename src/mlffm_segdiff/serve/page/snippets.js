/** The request of an image as a command or program, to be copied. */

import { promptFields } from "./prompt.js";

/** @param {string} text @returns {string} one word of a POSIX shell */
function shellWord(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** @returns {[string, string][]} the options of a request that writes the mask */
function fieldsOf({ options, edit }) {
  const given = Object.entries({ ...options, threshold: edit.threshold, ...promptFields(edit), format: "png" });
  return given.filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)]);
}

/**
 * @param {import("./case.js").Case} one @param {string} server its address @param {boolean} needsKey
 * @returns {string} a command that writes the mask, without what was drawn
 */
export function curlCommand(one, server, needsKey) {
  const words = fieldsOf(one).map(([name, value]) => `-F ${shellWord(`${name}=${value}`)}`);
  if (needsKey) words.unshift('-H "X-API-Key: $API_KEY"');
  const file = shellWord(`image=@"${one.name.replaceAll(/["\\]/g, "\\$&")}"`);
  return `curl --fail -o mask.png -F ${file} ${words.join(" ")} ${shellWord(`${server}api/v1/segment`)}\n`;
}

/** @returns {string} the same as a program in Python; see `curlCommand` */
export function pythonProgram(one, server, needsKey) {
  const fields = fieldsOf(one).map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)},\n`);
  const headers = needsKey ? ', headers={"X-API-Key": os.environ["API_KEY"]}' : "";
  return `${needsKey ? "import os\n\n" : ""}import requests

options = {
${fields.join("")}}
with open(${JSON.stringify(one.name)}, "rb") as image:
    response = requests.post(
        ${JSON.stringify(`${server}api/v1/segment`)}, data=options, files={"image": image}${headers}
    )
response.raise_for_status()
with open("mask.png", "wb") as mask:
    mask.write(response.content)
`;
}
