// The sources of a store: listed, filtered, added, forgotten after a while in which that is undone.

import { api, at } from "./api.js";
import { count, day, get, make, size, when } from "./dom.js";
import { read } from "./reading.js";

const SHOWN = 100;
const UNDO_SECONDS = 6;
const going = new Map();
let listed = [];
let store = null;
let numShown = SHOWN;
let changed = () => {};
let failed = () => {};

export function startSources(whenChanged, fail) {
  changed = whenChanged;
  failed = fail;
  get("filter").addEventListener("input", () => {
    numShown = SHOWN;
    show();
  });
  get("more-sources").addEventListener("click", () => {
    numShown += SHOWN;
    show();
  });
  get("files").addEventListener("change", async () => {
    await add([...get("files").files]);
    get("files").value = "";
  });
  const drop = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("dropping", event.type === "dragover");
    if (event.type === "drop") add([...event.dataTransfer.files]);
  };
  for (const name of ["dragover", "drop"]) document.addEventListener(name, drop);
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
}

export async function listSources(name) {
  const found = [];
  for (let after = 0; name !== null && after !== null;) {
    const part = await api(at(name, "/sources", { after, limit: 1000 }));
    found.push(...part.sources);
    after = part.next_after;
  }
  [store, listed] = [name, found];
  show();
}

async function add(files) {
  const into = store;
  if (into === null) return failed(new Error("make a store first"));
  for (const [number, file] of files.entries()) {
    get("news").textContent = `Reading ${file.name} (${number + 1} of ${files.length}) …`;
    const body = new FormData();
    body.append("file", file);
    try {
      await api(at(into, "/files"), { method: "POST", body });
      get("news").textContent = `Added ${file.name}.`;
    } catch (error) {
      get("news").textContent = "";
      failed(new Error(`${file.name}: ${error.message}`));
    }
  }
  if (into === store) changed();
}

function show() {
  const wanted = get("filter").value.trim().toLowerCase();
  const words = (source) => [source.name, ...Object.entries(source.metadata).map((pair) => pair.join("="))];
  const fit = listed.filter((source) => words(source).some((word) => word.toLowerCase().includes(wanted)));
  get("sources").replaceChildren(...fit.slice(0, numShown).map(row));
  get("more-sources").hidden = fit.length <= numShown;
  if (store !== null && !fit.length) {
    get("sources").append(make("li", { class: "quiet" }, wanted ? "None fits the filter." : "Nothing yet. Add a file, and ask about it."));
  }
}

function row(source) {
  const isGoing = going.has(`${store}/${source.name}`);
  const open = () => read(store, { source: source.name, start_byte: 0, end_byte: 0 }).catch(failed);
  const labels = Object.entries(source.metadata).map(([name, value]) => make("span", { class: "label" }, `${name}=${value}`));
  return make("li", { class: isGoing ? "going" : "", "data-source": source.name },
    make("div", { class: "what" },
      make("button", { class: "name", type: "button", click: open }, source.name),
      make("div", { class: "quiet", title: when(source.time) },
        [size(source.num_bytes), count(source.num_tokens, "token"), day(source.time)].filter(Boolean).join(" · ")),
      ...labels),
    isGoing
      ? make("button", { class: "act", type: "button", click: () => undo(source), "aria-label": `Keep ${source.name} after all` }, "Undo")
      : make("button", { class: "act", type: "button", click: () => forget(source), "aria-label": `Forget ${source.name}` }, "Forget"));
}

function forget(source) {
  const from = store;
  const key = `${from}/${source.name}`;
  going.set(key, setTimeout(async () => {
    try {
      await api(at(from, "/sources", { name: source.name }), { method: "DELETE" });
      get("news").textContent = `Forgot ${source.name}.`;
    } catch (error) {
      failed(error);
    }
    going.delete(key);
    if (from === store) changed();
  }, UNDO_SECONDS * 1000));
  get("news").textContent = `${source.name} will be forgotten in ${UNDO_SECONDS} seconds, for good.`;
  showAndFocus(source);
}

function undo(source) {
  const key = `${store}/${source.name}`;
  clearTimeout(going.get(key));
  going.delete(key);
  get("news").textContent = `${source.name} stays.`;
  showAndFocus(source);
}

function showAndFocus(source) {
  show();
  document.querySelector(`[data-source="${CSS.escape(source.name)}"] .act`)?.focus();
}
