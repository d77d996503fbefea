// Sparklines: small charts of the last ten minutes, as SVG.

import { make } from "./dom.js";

const width = 120;
const height = 24;
const space = "http://www.w3.org/2000/svg";

/** Makes an empty chart. */
function create() {
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "chart");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  for (const name of ["area", "line"]) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("class", name);
    svg.append(path);
  }
  return svg;
}

/** Returns the pieces of a series that are known, as lists of points. */
function pieces(values, points, top) {
  const all = [];
  let piece = null;
  values.forEach((value, i) => {
    if (value === null) {
      piece = null;
      return;
    }
    if (!piece) all.push((piece = []));
    const x = width - ((values.length - 1 - i) * width) / (points - 1);
    piece.push([x.toFixed(1), (height - 1 - (value / top) * (height - 2)).toFixed(1)]);
  });
  return all;
}

/**
 * Shows a series in a parent, which holds nothing else. values are numbers, or null where they are not known, the latest last; most is the least that the
 * height stands for. title is what the chart shows, and format writes its numbers.
 */
export function chart(parent, values, { title, format, most = 0, points = 120 }) {
  let svg = parent.querySelector("svg.chart");
  if (!svg) {
    svg = create();
    parent.append(svg);
  }
  const shown = values.filter((v) => v !== null);
  const largest = Math.max(0, ...shown);
  const all = pieces(values, points, Math.max(largest, most) || 1);
  const line = all.map((piece) => (piece.length > 1 ? "M" + piece.join("L") : `M${piece[0]}h1`)).join("");
  const area = all.map((piece) => `M${piece[0][0]},${height}L${piece.join("L")}V${height}Z`).join("");
  svg.querySelector(".line").setAttribute("d", line);
  svg.querySelector(".area").setAttribute("d", area);
  const text = shown.length ? `${format(Math.min(...shown))} to ${format(largest)}` : "nothing known yet";
  svg.setAttribute("aria-label", `${title}, last ten minutes: ${text}`);
}

/** Shows a series in cell c of a table. */
export function chartCell(c, values, options) {
  if (!c.box) {
    c.box = make("div", "");
    c.replaceChildren(c.box);
  }
  chart(c.box, values, options);
}
