// The capture: whether its figures can be trusted, and what it has to do.

import { byId, cell, keep, lines, make, setText } from "./dom.js";
import { chart, chartCell } from "./chart.js";
import { age, percent, share, short, whole } from "./format.js";

const lamps = {
  complete: { word: "Complete:", shape: "M12 2a10 10 0 1 0 0 20a10 10 0 1 0 0-20zM10.5 16.6l-4-4 1.6-1.6 2.4 2.4 5.4-5.4 1.6 1.6z" },
  incomplete: { word: "Incomplete:", shape: "M12 2L23 21H1zM11 9v6h2V9zM11 17v2h2v-2z" },
  stuck: { word: "Stuck:", shape: "M7 2h10l5 5v10l-5 5H7l-5-5V7zM7 11v2h10v-2z" },
};

const states = { captured: "captured", down: "down", absent: "absent", not_decoded: "left out: kind not decoded", below: "below a captured one" };

const perSecond = (x) => short(x) + "/s";
const bits = (x) => short(x, "bit/s");

/** Shows a status. */
export function showStatus(s) {
  const lamp = lamps[s.capture.state] ?? lamps.stuck;
  byId("lamp").dataset.state = s.capture.state;
  byId("lamp-shape").setAttribute("d", lamp.shape);
  setText(byId("lamp-word"), lamp.word);
  setText(byId("lamp-text"), s.capture.reasons.length > 1 ? `${s.capture.reasons.length} reasons in the last minute` : s.capture.summary);
  const reasons = s.capture.reasons.length > 1 ? s.capture.reasons : [];
  keep(byId("reasons"), reasons, (r) => r.cause + " " + (r.interface ?? ""), () => make("li"), (li, r) => setText(li, r.text));
  const facts = [`Interface: ${s.interface}`, `Filter: ${s.filter || "none"}`, `Up for ${age(s.uptime_seconds)}`];
  if (s.sample_ratio < 1) facts.push(`A sample: one connection in ${Math.round(1 / s.sample_ratio)}`);
  setText(byId("facts"), facts.join(". ") + ".");
  keep(byId("skipped"), s.skipped.filter((k) => k.packets_total > 0), (k) => k.reason, () => make("li"),
    (li, k) => setText(li, `Not accounted: ${whole(k.packets_total)} packets, ${k.reason.replaceAll("_", " ")}: ${k.text}`));
  showTiles(s);
  showInterfaces(s.interfaces);
  showWorkers(s.workers);
  for (const label of document.querySelectorAll("[data-filter]")) label.hidden = !s.stream_filters.includes(label.dataset.filter);
}

function showTiles(s) {
  const t = s.totals, h = s.history;
  keep(byId("tiles"), [
    { title: "Packets", value: perSecond(t.packets_per_second), series: h.packets_per_second, format: perSecond },
    { title: "Traffic of the interfaces", value: bits(t.bits_per_second), series: h.bits_per_second, format: bits },
    { title: "Dropped by the ring", value: perSecond(t.dropped_packets_per_second), note: whole(t.dropped_packets_total) + " since the start", series: h.dropped_packets_per_second, format: perSecond },
    { title: "Table", value: percent(share(t.connections, t.connections_capacity)), note: `${whole(t.connections)} of ${whole(t.connections_capacity)} connections`, series: h.table_fill_ratio, format: percent, most: 1 },
    { title: "Ring", value: percent(share(t.ring_blocks_waiting, t.ring_blocks)), note: `${whole(t.ring_blocks_waiting)} of ${whole(t.ring_blocks)} blocks wait`, series: h.ring_fill_ratio, format: percent, most: 1 },
    { title: "Active streams", value: whole(t.active_streams), note: `${whole(t.streams)} in the table` },
  ], (tile) => tile.title, () => {
    const li = make("li", "", make("span"), make("b"), make("div", "box"), make("span", "note"));
    return li;
  }, (li, tile) => {
    const [title, value, box, note] = li.children;
    setText(title, tile.title);
    setText(value, tile.value);
    setText(note, tile.note ?? "");
    if (tile.series) chart(box, tile.series, tile);
  });
}

function showInterfaces(all) {
  keep(byId("interfaces").tBodies[0], all, (k) => k.interface, () => make("tr"), (row, k) => {
    const lost = Object.entries(k.lost_packets_total).filter(([, n]) => n > 0).map(([name, n]) => `${whole(n)} ${name}`);
    setText(cell(row, 0), k.interface);
    setText(cell(row, 1), states[k.state] ?? k.state);
    lines(cell(row, 2), k.kind ?? "–", k.driver ?? "");
    setText(cell(row, 3, "number"), whole(k.mtu_bytes));
    setText(cell(row, 4, "number"), short(k.packets_per_second));
    chartCell(cell(row, 5), k.history.packets_per_second, { title: `Packets on ${k.interface}`, format: perSecond });
    setText(cell(row, 6, "number"), short(k.bits_per_second));
    chartCell(cell(row, 7), k.history.bits_per_second, { title: `Traffic on ${k.interface}`, format: bits });
    setText(cell(row, 8), lost.join(", ") || "none");
    setText(cell(row, 9, "text"), k.offloads === null ? "not known" : k.offloads.join(", ") || "none");
  });
}

function showWorkers(all) {
  keep(byId("workers").tBodies[0], all, (w) => w.worker, () => make("tr"), (row, w) => {
    const h = w.history;
    setText(cell(row, 0), String(w.worker));
    setText(cell(row, 1, "number"), short(w.packets_per_second));
    chartCell(cell(row, 2), h.packets_per_second, { title: `Packets of worker ${w.worker}`, format: perSecond });
    setText(cell(row, 3, "number"), whole(w.dropped_packets_total));
    chartCell(cell(row, 4), h.dropped_packets_per_second, { title: `Packets dropped by worker ${w.worker}`, format: perSecond });
    setText(cell(row, 5, "number"), percent(share(w.connections, w.connections_capacity)));
    chartCell(cell(row, 6), h.table_fill_ratio, { title: `Table of worker ${w.worker}`, format: percent, most: 1 });
    setText(cell(row, 7, "number"), percent(share(w.ring_blocks_waiting, w.ring_blocks)));
    chartCell(cell(row, 8), h.ring_fill_ratio, { title: `Ring of worker ${w.worker}`, format: percent, most: 1 });
  });
}
