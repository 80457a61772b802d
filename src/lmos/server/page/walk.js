// The walk of a question, drawn: branches that were looked at, kept, and led to a passage.

import { api, at } from "./api.js";
import { count, draw, get, make, place, size } from "./dom.js";
import { chosenNodes, placeNodes } from "./layout.js";

const ROW = 74;
const TOP = 24;
const SLOT = 17;
const WIDE = 480;
const GUTTER = 104;
let drawn = { nodes: [] };

export function clearWalk(hint) {
  for (const id of ["walk", "legend", "levels-part"]) get(id).hidden = true;
  get("walking").removeAttribute("aria-busy");
  get("why").replaceChildren();
  get("walk-hint").textContent = hint;
  drawn = { nodes: [] };
}

/** Another walk is on its way; the one before stays, dimmed, so that nothing jumps. */
export function awaitWalk() {
  get("walking").setAttribute("aria-busy", "true");
  get("why").replaceChildren();
}

/** Draw the walk of a turn, which has `store`, `question`, `walk` and `passages`. */
export function showWalk(turn) {
  const { walk, passages } = turn;
  if (!walk?.length) return clearWalk("Nothing was looked at: no source fits, or the store is empty.");
  get("walking").removeAttribute("aria-busy");
  if (drawn.turn === turn) return;
  get("walk").hidden = get("legend").hidden = get("levels-part").hidden = false;
  get("why").replaceChildren();
  const width = Math.max(280, get("walk").clientWidth);
  const gutter = width < WIDE ? 0 : GUTTER;
  const nodes = chosenNodes(walk, Math.max(14, Math.min(48, Math.floor((width - gutter) / SLOT))));
  placeNodes(nodes);
  drawn = { nodes, turn };
  number(nodes, passages);
  const levels = [...new Set(nodes.map((node) => node.level))].sort((a, b) => b - a);
  for (const node of nodes) {
    node.left = gutter + 10 + node.x * (width - gutter - 20);
    node.top = heightOf(levels.indexOf(node.level));
  }
  const height = TOP + levels.length * ROW + 60;
  const middle = gutter + (width - gutter) / 2;
  get("walk").replaceChildren(draw("svg",
    { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Tree; arrow keys go from node to node", keydown: move },
    ...levels.map(rule(gutter, width)), ...nodes.filter((node) => node.state !== "path").map(edge(middle)),
    ...nodes.filter((node) => node.state === "path").map(edge(middle)),
    draw("g", { class: "node path" }, draw("circle", { cx: middle, cy: TOP, r: 7 })),
    draw("text", { class: "row", x: middle + 14, y: TOP + 4 }, "the question"),
    ...levels.flatMap(said(walk, gutter)), ...nodes.map(dot), ...groups(nodes, width, height),
  ));
  const first = nodes.find((node) => node.state === "path") ?? nodes.find(isToldOf);
  first?.element.setAttribute("tabindex", "0");
  get("walk-hint").textContent = `“${turn.question}” – ${told(walk, nodes)}`;
  fillLevels(walk);
}

/** Light the way to one passage, and say it in words. */
export function showWhy(turn, passage) {
  const nodes = drawn.turn === turn ? drawn.nodes : [];
  const steps = passage.path.map((step) => nodes.find((node) =>
    node.source === passage.source && node.level === step.level && node.index === step.index));
  choose(...steps.filter(Boolean));
  const parts = passage.parts;
  const because = parts && `Attention gave it ${parts.attention.toFixed(1)}, ` +
    (parts.lexical > 0 ? `words that it shares with the question ${parts.lexical.toFixed(1)}.` : "shared words nothing.");
  get("why").replaceChildren(
    make("strong", {}, `Why ${place(passage)}?`),
    make("ol", {}, ...passage.path.map((step) =>
      make("li", {}, `Level ${step.level}, node ${step.index}: score ${step.score.toFixed(2)}`))),
    ...(because ? [make("p", { class: "quiet" }, because)] : []),
  );
}

function number(nodes, passages) {
  for (const node of nodes) {
    const at = passages.findIndex((passage) => {
      const last = passage.path.at(-1);
      return last && passage.source === node.source && last.level === node.level && last.index === node.index;
    });
    node.number = at < 0 ? "" : String(at + 1);
  }
}

const isToldOf = (node) => node.state !== "seen";

function told(walk, nodes) {
  const looked = walk.reduce((sum, level) => sum + level.num_candidates, 0);
  const kept = walk.reduce((sum, level) => sum + level.num_kept, 0);
  return `${count(looked, "branch", "branches")} looked at, ${kept.toLocaleString()} kept; ` +
    `the ${nodes.length} that mattered most are drawn, in the order of the text.`;
}

const heightOf = (row) => TOP + (row + 1) * ROW;

const rule = (left, width) => (_, row) =>
  draw("line", { class: "rule", x1: left, x2: width, y1: heightOf(row), y2: heightOf(row) });

const said = (walk, gutter) => (level, row) => {
  const counted = walk.find((each) => each.level === level);
  const y = heightOf(row);
  // Where there is no room beside the tree, the numbers are left to the table.
  if (!gutter || !counted) return [draw("text", { class: "row", x: 0, y: y - 14 }, `level ${level}`)];
  return [
    draw("text", { class: "row", x: 0, y: y - 3 }, `level ${level}`),
    draw("text", { class: "row", x: 0, y: y + 11 }, `${counted.num_kept} of ${counted.num_candidates} kept`),
  ];
};

const edge = (middle) => (node) => {
  const [x, y] = node.parent ? [node.parent.left, node.parent.top] : [middle, TOP];
  const bend = Math.min(ROW, node.top - y) / 2;
  return draw("path", {
    class: `edge ${node.state}`,
    d: `M${x} ${y}C${x} ${y + bend} ${node.left} ${node.top - bend} ${node.left} ${node.top}`,
  });
};

function dot(node) {
  const radius = node.state === "path" ? 7 : node.state === "kept" ? 5 : 3;
  const attributes = { class: `node ${node.state}` };
  if (isToldOf(node)) {
    const open = () => tellOf(node);
    Object.assign(attributes, {
      role: "button", tabindex: "-1", "aria-label": named(node), click: open,
      keydown: (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          open();
        }
      },
    });
  }
  node.element = draw("g", attributes,
    draw("title", {}, named(node)),
    isToldOf(node) ? draw("circle", { class: "around", cx: node.left, cy: node.top, r: 12 }) : null,
    draw("circle", { cx: node.left, cy: node.top, r: radius }),
    node.number ? draw("text", { x: node.left, y: node.top + 22 }, node.number) : null);
  return node.element;
}

function named(node) {
  const state = { path: "led to a passage", kept: "kept", seen: "left aside" }[node.state];
  const score = node.score === undefined ? "" : `, score ${node.score.toFixed(2)}`;
  return `${node.source}, level ${node.level}, node ${node.index}${score}, ${state}`;
}

function groups(nodes, width, height) {
  const [line, near, far] = [height - 34, height - 16, height - 2];
  return [...Map.groupBy(nodes, (node) => node.source)].flatMap(([source, mine]) => {
    const lefts = mine.map((node) => node.left);
    const [from, to] = [Math.min(...lefts) - 6, Math.max(...lefts) + 6];
    const middle = (from + to) / 2;
    const most = Math.floor((to - from) / 6);
    // A name that has no room under its own nodes stands on a line below, if it matters.
    const isNarrow = most < Math.min(source.length, 8);
    if (isNarrow && !mine.some((node) => node.state === "path")) return [];
    const mostChars = isNarrow ? 24 : most;
    const short = source.length > mostChars ? `${source.slice(0, mostChars - 1)}…` : source;
    const anchor = !isNarrow ? "middle" : middle < width / 2 ? "start" : "end";
    const x = { start: from, middle, end: to }[anchor];
    return [
      draw("path", { class: "span", d: `M${from} ${line}V${line + 5}H${to}V${line}` }),
      draw("text", { class: "group", x, y: isNarrow ? far : near, "text-anchor": anchor }, short, draw("title", {}, source)),
    ];
  });
}

function choose(...nodes) {
  for (const node of drawn.nodes) node.element.classList.toggle("chosen", nodes.includes(node));
}

async function tellOf(node) {
  const { store } = drawn.turn;
  choose(node);
  const words = node.lexical ? `, ${node.lexical.toFixed(1)} from shared words` : "";
  const text = await api(at(store, "/text", {
    source: node.source, start_byte: node.start_byte, end_byte: Math.min(node.end_byte, node.start_byte + 600),
  })).catch(() => null);
  get("why").replaceChildren(
    make("strong", {}, named(node)),
    make("p", { class: "quiet" }, `${size(node.end_byte - node.start_byte)} from byte ${node.start_byte.toLocaleString()}${words}`),
    make("p", {}, text?.text ?? ""),
  );
}

function move(event) {
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const from = drawn.nodes.find((node) => node.element === document.activeElement);
  if (!by || !from) return;
  event.preventDefault();
  const far = (node) => Math.hypot((node.left - from.left) * (by[0] ? 1 : 2), node.top - from.top);
  const [to] = drawn.nodes
    .filter((node) => isToldOf(node) && (by[0]
      ? node.top === from.top && (node.left - from.left) * by[0] > 0
      : (node.top - from.top) * by[1] > 0))
    .sort((a, b) => far(a) - far(b));
  if (!to) return;
  from.element.setAttribute("tabindex", "-1");
  to.element.setAttribute("tabindex", "0");
  to.element.focus();
}

function fillLevels(walk) {
  const rows = walk.map((level) => make("tr", {},
    make("td", {}, String(level.level)),
    ...[level.num_candidates, level.num_kept, level.kept.filter((node) => node.is_on_path).length]
      .map((number) => make("td", {}, number.toLocaleString())),
    make("td", {}, level.kept.length ? Math.max(...level.kept.map((node) => node.score)).toFixed(2) : "–")));
  get("levels").tBodies[0].replaceChildren(...rows);
}
