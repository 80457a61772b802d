// A conversation: each question with the turns before it, and its answer as it comes.

import { api, at, events, post } from "./api.js";
import { get } from "./dom.js";
import { search } from "./options.js";
import { close } from "./reading.js";
import { Turn } from "./turns.js";
import { awaitWalk, clearWalk, showWalk } from "./walk.js";

const MOST_KEPT = 300;
const MOST_TURNS = 16;
let going = null;
// What was asked and answered, as the server wants it: only answers that were found.
let before = [];

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
  get("afresh").addEventListener("click", () => {
    clearTalk();
    get("question").focus();
  });
}

/** Begin a new conversation. */
export function clearTalk() {
  going?.abort();
  going = null;
  before = [];
  busy(false);
  close();
  get("turns").replaceChildren();
  get("talk").hidden = get("afresh").hidden = true;
  get("told").textContent = "";
  clearWalk("Ask something, and the branches that were opened light up here.");
}

async function ask(store, question, fail) {
  going?.abort();
  going = new AbortController();
  const { signal } = going;
  const isMine = () => going?.signal === signal;
  const asked = { question, turns: before.slice(-MOST_TURNS), search: search() };
  const turn = new Turn(store, question, fail);
  begin(turn);
  try {
    const stream = events(at(store, "/ask"), post({ ...asked, stream: true }, signal));
    for await (const [name, data] of stream) {
      if (name === "passages") {
        turn.cite(data.passages);
        // Does not wait for the answer: both are on their way.
        walk(turn, asked, signal).catch(fail);
      } else if (name === "text") turn.say(data.text);
      else if (name === "answer") {
        turn.finish(data);
        if (data.is_found) before.push({ question, answer: data.answer });
        if (isMine()) get("told").textContent = turn.inWords(data);
      }
    }
  } catch (error) {
    turn.fail(error.name === "AbortError" ? "Stopped." : "Not answered.");
    // One that another question took the place of says nothing more.
    if (!isMine() || error.name === "AbortError") return;
    if (!get("question").value) get("question").value = question;
    clearWalk("There was no walk to show.");
    fail(error);
  } finally {
    if (isMine()) busy(false);
  }
}

function begin(turn) {
  close();
  get("told").textContent = "";
  for (const part of get("turns").querySelectorAll(".evidence[open]")) part.open = false;
  get("turns").append(turn.item);
  get("talk").hidden = get("afresh").hidden = false;
  get("talk").scrollTop = turn.item.offsetTop - 8;
  get("question").value = "";
  busy(true);
  awaitWalk();
}

async function walk(turn, asked, signal) {
  const found = await api(at(turn.store, "/retrieve"), post({ ...asked, explain: true, max_kept: MOST_KEPT }, signal));
  turn.walk = found.walk;
  if (!signal.aborted) showWalk(turn);
}

function busy(isBusy) {
  const hadFocus = document.activeElement === get(isBusy ? "send" : "stop");
  get("send").hidden = isBusy;
  get("stop").hidden = !isBusy;
  if (hadFocus) get("question").focus();
}
