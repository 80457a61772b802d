// The page put together: which store, with which key, and what went wrong.

import { api, at, post, useKey } from "./api.js";
import { clearTalk, startAsking } from "./asking.js";
import { count, get, make, size } from "./dom.js";
import { startOptions } from "./options.js";
import { startReading } from "./reading.js";
import { listSources, startSources } from "./sources.js";

let store = null;

function fail(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) {
    get("key-form").hidden = false;
    get("key").focus();
  }
  get("message").hidden = false;
  get("message").textContent = `${error.message}.`;
}

function clearMessage() {
  get("message").hidden = true;
}

async function begin(wanted = null) {
  clearMessage();
  const { stores } = await api("stores");
  get("key-form").hidden = true;
  get("store").disabled = stores.length === 0;
  get("store").replaceChildren(...stores.map((name) => make("option", {}, name)));
  get("making").open = stores.length === 0;
  store = wanted ?? stores[0] ?? null;
  if (store !== null) get("store").value = store;
  await choose();
}

async function choose() {
  clearTalk();
  await refresh();
}

async function refresh() {
  await listSources(store);
  if (store === null) {
    get("numbers").textContent = "No store yet.";
    get("sizes").textContent = "";
    return;
  }
  const status = await api(at(store));
  const each = (bytes) => (status.tokens ? `, ${(bytes / status.tokens).toFixed(1)} bytes a token` : "");
  get("numbers").textContent =
    [count(status.sources, "source"), count(status.tokens, "token"), status.model].join(" · ");
  get("sizes").textContent = `Text: ${size(status.text_bytes)}${each(status.text_bytes)}. ` +
    `The file with its tree: ${size(status.file_bytes)}${each(status.file_bytes)}.`;
}

get("store").addEventListener("change", () => {
  clearMessage();
  store = get("store").value;
  choose().catch(fail);
});
get("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(get("key").value);
  get("key").value = "";
  begin().catch(fail);
});
get("make").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = get("make-name").value;
  try {
    await api("stores", post({ name }));
    get("make-name").value = "";
    await begin(name);
  } catch (error) {
    fail(error);
  }
});
get("ask").addEventListener("submit", clearMessage);
startAsking(() => store, fail);
startOptions();
startReading(fail);
startSources(() => refresh().catch(fail), fail);
begin().catch(fail);
