// How to search: the fields of the page -> `search` as the REST routes take it.

import { count, day, get } from "./dom.js";

const FIELDS = ["strategy", "passages", "since", "until", "labels"];
const USUAL_PASSAGES = 5;
const TOKENS_A_PASSAGE = 80;

export function startOptions() {
  for (const name of FIELDS) get(name).addEventListener("input", tell);
  get("usual").addEventListener("click", () => {
    for (const name of FIELDS) get(name).value = "";
    get("strategy").value = "hybrid";
    get("passages").value = USUAL_PASSAGES;
    tell();
  });
  // A mistake in a field that is folded away would go unseen.
  get("options").addEventListener("invalid", () => { get("options").open = true; }, true);
  tell();
}

/** Only what is not as usual. */
export function search() {
  const found = {};
  const number = Number(get("passages").value);
  if (get("strategy").value !== "hybrid") found.strategy = get("strategy").value;
  if (number !== USUAL_PASSAGES) found.max_texts = number;
  if (number > USUAL_PASSAGES) found.budget = number * TOKENS_A_PASSAGE;
  if (get("since").value) found.since = midnight("since", 0);
  if (get("until").value) found.until = midnight("until", 1);
  if (labels().length) found.where = Object.fromEntries(labels());
  return found;
}

/** Seconds since the epoch at which the day of a field begins, or one so many days later. */
function midnight(name, later) {
  const [year, month, dayOfMonth] = get(name).value.split("-").map(Number);
  return new Date(year, month - 1, dayOfMonth + later).getTime() / 1000;
}

const labels = () => get("labels").value.split(",").map((each) => each.trim()).filter(Boolean)
  .map((each) => each.split(/\s*=\s*(.*)/s).slice(0, 2));

function tell() {
  const found = search();
  const isPair = ([name, value]) => name && value;
  get("labels").setCustomValidity(labels().every(isPair) ? "" : "Write labels as name=value, with commas between them.");
  get("until").setCustomValidity(found.until <= found.since ? "This day comes before the first one." : "");
  get("chosen").textContent = [
    found.strategy && get("strategy").selectedOptions[0].textContent,
    found.max_texts && count(found.max_texts, "passage"),
    found.since && `from ${day(found.since)}`,
    found.until && `up to ${day(midnight("until", 0))}`,
    ...labels().map((pair) => pair.join("=")),
  ].filter(Boolean).map((each) => ` · ${each}`).join("");
}
