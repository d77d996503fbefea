// Groups: who talks to whom, over which service.

import { byId, cell, head, keep, lines, make, setText, showSort } from "./dom.js";
import { percent, share, short, time, whole } from "./format.js";

const both = (of) => (of?.from_client ?? 0) + (of?.from_server ?? 0);
const leg = (row, side, q) => row.tcp_group_rtt_seconds?.[side]?.quantiles_seconds[q] ?? NaN;

const columns = [
  { name: "client", title: "Client", order: "ascending", value: (g) => g.client_group },
  { name: "server", title: "Server", order: "ascending", value: (g) => g.server_group },
  { name: "service", title: "Service", order: "ascending", value: (g) => g.service },
  { name: "rate", title: "Rate", className: "number", order: "descending", value: (g) => g.rate },
  { name: "bytes", title: "Bytes", className: "number", order: "descending", value: (g) => g.bytes },
  { name: "retransmits", title: "Sent again", className: "number", order: "descending", value: (g) => g.again },
  { name: "rtt_client", title: "RTT to client", className: "number", order: "descending", value: (g) => leg(g, "client", "0.5") },
  { name: "rtt_server", title: "RTT to server", className: "number", order: "descending", value: (g) => leg(g, "server", "0.5") },
  { name: "open", title: "Open", className: "number", order: "descending", value: (g) => g.tcp_group_connections.established },
  { name: "failed", title: "Failed", className: "number", order: "descending", value: (g) => g.failed },
];

const keyOf = (g) => JSON.stringify([g.client_group, g.server_group, g.service, g.interface ?? ""]);

let before = { at: 0, bytes: new Map() };
let latest = [];

/** Makes the table. chosen(change) is called with what a click changes of the view. */
export function startGroups(view, chosen) {
  head(byId("groups"), columns, (name) => {
    const first = columns.find((c) => c.name === name).order === "ascending" ? name : "-" + name;
    const other = first.startsWith("-") ? name : "-" + name;
    chosen({ groups_sort: view().groups_sort === first ? other : first });
    draw(view(), chosen);
  });
}

/** Shows an answer. */
export function showGroups(answer, view, chosen) {
  const seconds = answer.timestamp_seconds - before.at;
  const bytes = new Map();
  latest = answer.groups.map((g) => {
    const key = keyOf(g);
    const sum = both(g.tcp_group_bytes_total);
    bytes.set(key, sum);
    const was = before.bytes.get(key);
    return {
      ...g, key, bytes: sum,
      rate: before.at && was !== undefined && sum >= was ? (8 * (sum - was)) / seconds : NaN,
      again: share(both(g.tcp_group_retransmitted_packets_total), both(g.tcp_group_packets_total)),
      failed: Object.values(g.tcp_group_connections_failed_total).reduce((a, b) => a + b, 0),
    };
  });
  before = { at: answer.timestamp_seconds, bytes };
  const more = answer.groups_matched - latest.length;
  setText(byId("groups-note"), (more > 0 ? `${whole(more)} more are not shown. ` : "") +
    (answer.overflow_connections_total > 0 ? `${whole(answer.overflow_connections_total)} connections found no room and count under other: raise -group-max.` : ""));
  draw(view, chosen);
}

/** Brings the rows into order, and up to date. */
function draw(view, chosen) {
  const down = view.groups_sort === "" || view.groups_sort.startsWith("-");
  const column = columns.find((c) => c.name === view.groups_sort.replace("-", "")) ?? columns.find((c) => c.name === "bytes");
  showSort(byId("groups"), column.name, down ? "descending" : "ascending");
  const missing = (x) => x === undefined || Number.isNaN(x);
  const rows = [...latest].sort((a, b) => {
    const x = column.value(a), y = column.value(b);
    if (missing(x) || missing(y)) return missing(x) - missing(y); // what is not known comes last
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return (down ? -order : order) || b.bytes - a.bytes;
  });
  keep(byId("groups").tBodies[0], rows, (g) => g.key, () => make("tr"), (row, g) => fill(row, g, chosen));
}

function fill(row, g, chosen) {
  link(cell(row, 0), g.client_group, () => chosen({ group: g.client_group }, true));
  link(cell(row, 1), g.server_group, () => chosen({ group: g.server_group }, true));
  const c = cell(row, 2);
  link(c, g.service, () => chosen({ group: g.server_group, service: g.service }, true));
  lines(cell(row, 3, "number"), short(g.rate, "bit/s"));
  setText(cell(row, 4, "number"), short(g.bytes, "B"));
  setText(cell(row, 5, "number"), percent(g.again));
  for (const [i, side] of [[6, "client"], [7, "server"]]) {
    const high = leg(g, side, "0.95");
    lines(cell(row, i, "number"), time(leg(g, side, "0.5")), Number.isNaN(high) ? "" : "95 %: " + time(high));
  }
  const state = g.tcp_group_connections;
  lines(cell(row, 8, "number"), whole(state.established), state.half_open ? `${whole(state.half_open)} half-open` : "");
  lines(cell(row, 9, "number"), whole(g.failed), g.failed ? percent(share(g.failed, g.tcp_group_connections_opened_total)) : "");
}

/** Makes a cell's text a button. The cell's row stays the same group's. */
function link(c, text, clicked) {
  if (!c.button) {
    c.button = make("button", "", text);
    c.button.type = "button";
    c.button.addEventListener("click", clicked);
    c.replaceChildren(c.button);
  }
  setText(c.button, text);
}
