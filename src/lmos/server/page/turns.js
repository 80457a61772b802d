// One question of a conversation on the page: its answer, what else was said, what both stand on.

import { count, day, make, place, seconds } from "./dom.js";
import { read } from "./reading.js";
import { showWalk, showWhy } from "./walk.js";

const STEPS = { retrieve: "found in", first_token: "first word after", total: "done in" };
const WHEN = new Map([[true, "Said earlier"], [false, "Said later"], [null, "Said elsewhere"]]);

export class Turn {
  constructor(store, question, fail) {
    Object.assign(this, { store, question, failed: fail, walk: null, passages: [] });
    this.said = make("p", { class: "said", "aria-busy": "true" });
    this.others = make("ul", { class: "differing" });
    this.numbers = make("p", { class: "quiet timing" });
    this.summary = make("summary", {});
    this.citations = make("ol", { class: "citations" });
    this.evidence = make("details", { class: "evidence", open: "", hidden: "" }, this.summary, this.citations);
    this.item = make("li", { class: "turn" },
      make("h3", {}, question), this.said, this.others, this.numbers, this.evidence);
  }

  say(text) {
    this.said.append(text);
  }

  /** Show the passages that were found, those that hold the answer marked once that is known. */
  cite(passages) {
    this.passages = passages;
    this.evidence.hidden = passages.length === 0;
    this.summary.textContent = `From ${count(passages.length, "passage")}`;
    this.citations.replaceChildren(...passages.map((passage, index) =>
      make("li", { class: passage.has_answer ? "holds" : "" }, this.#opener(passage,
        make("span", { class: "number" }, String(index + 1)),
        make("span", { class: "where" }, place(passage),
          passage.has_answer ? make("strong", {}, " · holds the answer") : ""),
        make("span", { class: "quote" }, passage.text)))));
  }

  finish(data) {
    this.said.textContent = data.answer;
    this.said.removeAttribute("aria-busy");
    if (!data.is_found) {
      this.item.classList.add("guess");
      this.said.before(make("p", { class: "unsure" }, unsure(data)));
    }
    this.cite(data.citations);
    this.differ(data.differing ?? []);
    this.numbers.textContent = [
      sure(data),
      ...Object.keys(STEPS).filter((name) => name in data.timing)
        .map((name) => `${STEPS[name]} ${seconds(data.timing[name])}`),
      `${count(data.usage.prompt_tokens, "token")} read, ${data.usage.completion_tokens} written`,
    ].join(" · ");
  }

  /** Other answers of the sources to the same question, each a button that opens its passage. */
  differ(others) {
    this.others.replaceChildren(...others.map((other) => make("li", {}, this.#opener(other.citation,
      `${WHEN.get(other.is_earlier)}: `, make("strong", {}, other.answer),
      make("span", { class: "where" }, [place(other.citation), day(other.citation.time)].filter(Boolean).join(", "))))));
  }

  fail(words) {
    this.said.removeAttribute("aria-busy");
    this.numbers.textContent = words;
  }

  /** What a screen reader says when the answer is whole. */
  inWords(data) {
    const from = `${sure(data)}, from ${count(data.citations.length, "passage")}.`;
    const others = (data.differing ?? []).map((other) => ` ${WHEN.get(other.is_earlier)}: ${other.answer}.`);
    return `${data.is_found ? "Answer:" : unsure(data)} ${data.answer} – ${from}${others.join("")}`;
  }

  #opener(passage, ...children) {
    const open = (event) => {
      for (const each of document.querySelectorAll("#turns [aria-current]")) each.removeAttribute("aria-current");
      event.currentTarget.setAttribute("aria-current", "true");
      if (this.walk) showWalk(this);
      showWhy(this, passage);
      read(this.store, passage).catch(this.failed);
    };
    return make("button", { type: "button", click: open }, ...children);
  }
}

const sure = (data) =>
  `${Math.round(data.confidence * 100)} % sure${data.is_calibrated === false ? ", not calibrated" : ""}`;

const unsure = (data) => {
  if (data.reason) return `Nothing found: ${data.reason}.`;
  return data.answer ? "Not found. This is only a guess:" : "Not found.";
};
