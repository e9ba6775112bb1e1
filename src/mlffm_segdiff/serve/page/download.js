/** @param {Blob} content @param {string} name offers it as a file */
export function download(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {string} name @returns {string} without its ending, unless that is a number: UIDs name DICOM files */
export function stem(name) {
  return name.replace(/\.(?!\d+$)[^.]+$/, "") || "image";
}
