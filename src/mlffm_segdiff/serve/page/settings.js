/** How the images that are added next are segmented. */

/**
 * Options of the REST API; those left out are the server's own.
 * @typedef {object} Settings
 * @property {number} ["sampling.samples"]
 * @property {number} ["sampling.steps"]
 * @property {string} ["sampling.style"]
 * @property {boolean} "sampling.mirror"
 * @property {boolean} "sampling.second_look"
 * @property {boolean} keep_specks
 * @property {boolean} largest
 * @property {boolean} fill_holes
 * @property {number} [mm_per_pixel]
 */

const STYLES = { any: "Any", isic2018: "ISIC 2018", ham10000: "HAM10000", ph2: "PH2" };

const $ = (id) => document.getElementById(id);

/** Offer what the server's model supports, with its defaults selected. @param {any} server what it reports */
export function showSettings(server) {
  const { sampling, styles, least_samples, most_samples, most_steps } = server;
  const samples = $("samples-count");
  samples.min = String(least_samples);
  samples.max = String(most_samples);
  samples.value = String(sampling.samples);
  $("steps-count").max = String(most_steps);
  $("steps-count").value = String(sampling.steps);
  $("sampling").hidden = $("sampling-hint").hidden = most_samples === 0;
  $("style").replaceChildren(...styles.map((style) => new Option(STYLES[style] ?? style, style)));
  $("style").value = sampling.style;
  $("style-box").hidden = styles.length === 0;
  $("mirror").checked = sampling.mirror;
  $("second-look").checked = sampling.second_look;
  samples.addEventListener("input", onlyWithSamples);
  onlyWithSamples();
}

/** Steps are steps of samples; a second look refines the posterior mean. */
function onlyWithSamples() {
  const samples = Number($("samples-count").value);
  $("steps-count").disabled = samples === 0;
  $("second-look").disabled = samples > 0;
}

/** @returns {Settings | null} the current values; null if one is out of range, which its field reports */
export function readSettings() {
  const invalid = ["samples-count", "steps-count", "spacing"].map($).find((input) => !input.checkValidity());
  if (invalid) {
    if (!$("options-box").open) $("options-box").showModal();
    invalid.reportValidity();
    return null;
  }
  const checked = (id) => $(id).checked;
  const samples = Number($("samples-count").value);
  return {
    "sampling.samples": samples,
    "sampling.steps": samples ? Number($("steps-count").value) : undefined,
    "sampling.style": $("style").value || undefined,
    "sampling.mirror": checked("mirror"),
    "sampling.second_look": samples === 0 && checked("second-look"),
    keep_specks: checked("keep-specks"),
    largest: checked("only-largest"),
    fill_holes: checked("fill-holes"),
    mm_per_pixel: $("spacing").value ? Number($("spacing").value) : undefined,
  };
}
