/** Rows as a table that spreadsheets open. */

/** @param {Record<string, unknown>[]} rows @returns {string} the columns of all rows, missing values empty */
export function csv(rows) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = rows.map((row) => columns.map((column) => csvCell(row[column])).join(","));
  return [columns.map(csvCell).join(","), ...lines, ""].join("\n");
}

/**
 * The rule of data/csv_text.py: no cell starts a formula.
 * @param {unknown} value
 */
function csvCell(value) {
  const raw = value === null || value === undefined ? "" : String(value);
  const formula = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(raw)
    && !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(raw);
  const text = formula ? `'${raw}` : raw;
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
