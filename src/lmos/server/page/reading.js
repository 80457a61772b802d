// A source with a stretch of it marked. Knows bytes; does not know why they are marked.

import { api, at } from "./api.js";
import { get, make, place, size } from "./dom.js";

const AROUND = 1500;
let shown = null;
let opener = null;

export function startReading(fail) {
  get("reading-more").addEventListener("click", () => {
    shown.around *= 4;
    fill().catch(fail);
  });
  get("reading-close").addEventListener("click", close);
  get("reading").addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
}

/** Show `passage`, which has `source`, `start_byte` and `end_byte`. */
export async function read(store, passage) {
  shown = { store, passage, around: AROUND };
  opener = document.activeElement;
  await fill();
  get("reading").focus({ preventScroll: true });
  get("reading").scrollIntoView({ block: "nearest" });
}

export function close() {
  const hadFocus = get("reading").contains(document.activeElement);
  get("reading").hidden = true;
  for (const each of document.querySelectorAll("#turns [aria-current]")) each.removeAttribute("aria-current");
  if (hadFocus && opener?.isConnected) opener.focus();
}

async function fill() {
  const { store, passage, around } = shown;
  const { start_byte: start, end_byte: end } = passage;
  const text = await api(at(store, "/text", {
    source: passage.source,
    start_byte: Math.max(0, start - around),
    end_byte: end + around,
  }));
  const bytes = new TextEncoder().encode(text.text);
  const words = (from, to) =>
    new TextDecoder().decode(bytes.slice(Math.max(0, from - text.start_byte), to - text.start_byte));
  const marked = start < end ? make("mark", {}, words(start, end)) : null;
  get("reading-text").replaceChildren(
    words(text.start_byte, start), ...(marked ? [marked] : []), words(end, text.end_byte),
  );
  get("reading-title").textContent = place(passage);
  const told = [passage.place, marked && `Bytes ${start.toLocaleString()} to ${end.toLocaleString()} are marked`,
    `${size(text.end_byte - text.start_byte)} from byte ${text.start_byte.toLocaleString()} shown`];
  get("reading-place").textContent = told.filter(Boolean).join(" · ");
  const isWhole = text.start_byte === 0 && text.end_byte < end + around;
  get("reading-more").hidden = isWhole;
  get("reading").hidden = false;
  // Within its own box, so that the page stays where it is.
  get("reading-text").scrollTop = marked ? marked.offsetTop - 80 : 0;
}
