// Elements and words for them. Text goes in as text, so nothing of a store can become markup.

const SVG = "http://www.w3.org/2000/svg";

export const get = (id) => document.getElementById(id);

export function make(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function draw(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export const count = (number, one, more = `${one}s`) =>
  `${number.toLocaleString()} ${number === 1 ? one : more}`;

export const seconds = (value) => `${value.toFixed(2)} s`;

const told = (time, options) => (time === null ? "" : new Date(time * 1000).toLocaleString(undefined, options));

export const when = (time) => told(time, { dateStyle: "medium", timeStyle: "short" });

export const day = (time) => told(time, { dateStyle: "medium" });

export const place = (passage) =>
  [passage.source, ...(passage.headings ?? [])].join(" › ");
