// A question and its answer as it comes, with what it stands on.

import { api, at, events, post } from "./api.js";
import { get, make, place, seconds } from "./dom.js";
import { close, read } from "./reading.js";
import { clearWalk, showWalk, showWhy } from "./walk.js";

const MOST_KEPT = 300;
let going = null;

export function startAsking(storeOf, fail) {
  get("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    if (storeOf()) ask(storeOf(), get("question").value, fail);
    else fail(new Error("make a store first, and add a file to it"));
  });
  get("stop").addEventListener("click", () => {
    going?.abort();
    get("question").focus();
  });
}

export function clearAnswer() {
  going?.abort();
  going = null;
  busy(false);
  get("reading").hidden = get("evidence").hidden = true;
  get("answer").replaceChildren();
  get("timing").textContent = "";
  clearWalk("Ask something, and the branches that were opened light up here.");
}

async function ask(store, question, fail) {
  clearAnswer();
  going = new AbortController();
  const { signal } = going;
  const said = make("span", { class: "said" });
  const answer = get("answer");
  answer.replaceChildren(said);
  answer.className = "";
  busy(true);
  try {
    const stream = events(at(store, "/ask"), post({ question, stream: true }, signal));
    for await (const [name, data] of stream) {
      if (name === "passages") {
        showCitations(store, data.passages, fail);
        const walk = api(at(store, "/retrieve"), post({ question, explain: true, max_kept: MOST_KEPT }, signal));
        walk.then((found) => signal.aborted || showWalk(store, found.walk, found.passages)).catch(fail);
      } else if (name === "text") said.append(data.text);
      else if (name === "answer") finish(store, data, said, fail);
    }
  } catch (error) {
    // One that another question took the place of says nothing more.
    if (going?.signal !== signal) return;
    if (error.name === "AbortError") get("timing").textContent = "Stopped.";
    else fail(error);
  } finally {
    if (going?.signal === signal) busy(false);
  }
}

function busy(isBusy) {
  // A screen reader waits until the answer is whole.
  get("answer").setAttribute("aria-busy", String(isBusy));
  get("send").hidden = isBusy;
  get("stop").hidden = !isBusy;
}

function finish(store, data, said, fail) {
  said.textContent = data.answer;
  if (!data.is_found) {
    get("answer").classList.add("guess");
    said.before(make("span", { class: "unsure" }, data.reason ?? "Not found; this is only a guess:"));
  }
  showCitations(store, data.citations, fail);
  const { timing, usage } = data;
  get("timing").textContent = [
    `confidence ${Math.round(data.confidence * 100)} %`,
    ...["retrieve", "first_token", "total"].filter((name) => name in timing).map((name) =>
      `${{ retrieve: "found in", first_token: "first word after", total: "all in" }[name]} ${seconds(timing[name])}`),
    `${usage.prompt_tokens} tokens read, ${usage.completion_tokens} said`,
  ].join(" · ");
}

function showCitations(store, passages, fail) {
  close();
  get("evidence").hidden = passages.length === 0;
  get("citations").replaceChildren(...passages.map((passage, index) => {
    const open = (event) => {
      for (const each of get("citations").querySelectorAll("[aria-current]")) each.removeAttribute("aria-current");
      event.currentTarget.setAttribute("aria-current", "true");
      showWhy(passage);
      read(store, passage).catch(fail);
    };
    return make("li", { class: passage.has_answer ? "holds" : "" },
      make("button", { type: "button", click: open },
        make("span", { class: "number" }, String(index + 1)),
        make("span", { class: "where" }, place(passage),
          passage.has_answer ? make("strong", {}, " · holds the answer") : ""),
        make("span", { class: "quote" }, passage.text)));
  }));
}
