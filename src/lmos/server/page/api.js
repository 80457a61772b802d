// Requests to the server and events from it. Knows routes and the key; shows nothing.

const KEY = "lmos-key";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const useKey = (key) => sessionStorage.setItem(KEY, key);

export const api = (path, options = {}) => sent(path, options).then((reply) => reply.json());

export const at = (store, path = "", query = {}) =>
  `stores/${encodeURIComponent(store)}${path}?${new URLSearchParams(query)}`;

export const post = (body, signal) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
  signal,
});

async function sent(path, options) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  const reply = await fetch(path, { ...options, headers });
  if (reply.ok) return reply;
  const body = await reply.json().catch(() => null);
  throw new Refused(reply.status, body?.error?.message ?? `the server replied ${reply.status}`);
}

/** Name and data of each event, as they come. */
export async function* events(path, options) {
  const reply = await sent(path, options);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n");
      const after = (head) => lines.find((line) => line.startsWith(head))?.slice(head.length);
      const data = JSON.parse(after("data: "));
      const name = after("event: ");
      if (name === "error") throw new Refused(500, data.error.message);
      yield [name, data];
    }
  }
}
