// Streams: those that lead by a figure, which the exporter finds.

import { byId, cell, head, keep, lines, make, setText, showSort } from "./dom.js";
import { age, end, percent, share, short, time, whole } from "./format.js";

// The exporter sorts: its worst health, lowest, comes first.
const columns = [
  { name: "ends", title: "From, to" },
  { name: "bytes", title: "Bytes", className: "number", order: "descending" },
  { name: "bitrate", title: "Rate", className: "number", order: "descending" },
  { name: "packets", title: "Packets", className: "number", order: "descending" },
  { name: "delay", title: "Delay", className: "number", order: "descending" },
  { name: "retransmits", title: "Sent again", className: "number", order: "descending" },
  { name: "health", title: "Health", className: "number", order: "ascending" },
  { name: "state", title: "State" },
  { name: "where", title: "Group, service" },
];

const sorted = (view) => columns.find((c) => c.order && c.name === view.sort) ?? columns[1];

/** Makes the table. chosen(change) is called with what a click changes of the view. */
export function startStreams(chosen) {
  head(byId("streams"), columns, (name) => chosen({ sort: name === "bytes" ? "" : name }));
}

/** Returns the parameters of a view. */
export function parametersOf(view, filters) {
  const p = { sort: sorted(view).name, limit: view.limit };
  for (const name of ["addr", "port", "state", "group", "service", "interface", "vlan"]) {
    if (view[name] && filters.includes(name)) p[name] = view[name].trim();
  }
  return p;
}

/** Shows by what the streams are sorted. */
export function showStreamSort(view) {
  showSort(byId("streams"), sorted(view).name, sorted(view).order);
}

/** Shows an answer. */
export function showStreams(answer) {
  keep(byId("streams").tBodies[0], answer.streams, keyOf, () => make("tr"), fill);
  const shown = answer.streams.length;
  setText(byId("streams-note"), answer.streams_matched === 0
    ? `None of the ${whole(answer.streams_in_table)} streams in the table match.`
    : `The first ${whole(shown)} of ${whole(answer.streams_matched)} that match, of ${whole(answer.streams_in_table)} in the table.`);
}

const keyOf = (s) => JSON.stringify([s.src_ip, s.src_port, s.dst_ip, s.dst_port, s.interface, s.vlan]);

function fill(row, s) {
  lines(cell(row, 0), end(s.src_ip, s.src_port), "to " + end(s.dst_ip, s.dst_port));
  setText(cell(row, 1, "number"), short(s.tcp_bytes_transferred_total, "B"));
  setText(cell(row, 2, "number"), short(s.tcp_bitrate_bps, "bit/s"));
  setText(cell(row, 3, "number"), short(s.tcp_packets_total));
  lines(cell(row, 4, "number"), time(s.tcp_avg_delay_seconds), s.tcp_jitter_seconds === undefined ? "" : "± " + time(s.tcp_jitter_seconds));
  lines(cell(row, 5, "number"), whole(s.tcp_retransmits_total), s.tcp_retransmits_total ? percent(share(s.tcp_retransmits_total, s.tcp_packets_total)) : "");
  setText(cell(row, 6, "number"), whole(s.tcp_stream_health_score));
  lines(cell(row, 7), s.state, s.tcp_stream_uptime_seconds === undefined ? "" : age(s.tcp_stream_uptime_seconds));
  const where = [s.src_group === undefined ? "" : `${s.src_group} → ${s.dst_group}`, s.service ?? ""].filter(Boolean);
  const origin = [s.interface, s.vlan === undefined ? "" : "VLAN " + s.vlan].filter(Boolean);
  lines(cell(row, 8), where.join(", ") || "–", origin.join(", "));
}
