// The page: asks the exporter every five seconds, as long as somebody can see it.

import { ask, NoAnswer } from "./ask.js";
import { byId, setText } from "./dom.js";
import { age } from "./format.js";
import { showGroups, startGroups } from "./groups.js";
import { showStatus } from "./status.js";
import { parametersOf, showStreams, showStreamSort, startStreams } from "./streams.js";
import * as address from "./view.js";

const interval = 5000; // ms between two rounds
const typing = 400; // ms after the last key until the filter is used

let view = address.read();
let paused = false;
let timer = 0;
let round = 0; // number of the latest: answers to an older one are not shown
let filters = [];
let version = "";
let heard = performance.now(); // when the last answer came

/** Asks for everything once, and has the next round follow. */
async function askAll() {
  clearTimeout(timer);
  const mine = ++round;
  const current = () => mine === round;
  try {
    const status = await ask("api/v1/status", { history: 120 });
    if (!current()) return;
    heard = performance.now();
    filters = status.stream_filters;
    showStatus(status);
    byId("groups-section").hidden = !status.groups_counted;
    const updated = version !== "" && version !== status.version;
    version ||= status.version;
    notice(updated ? "The exporter has another version now: reload the page." : "");
    await part("streams-error", current, async () => {
      const answer = await ask("api/v1/streams", parametersOf(view, filters));
      if (current()) showStreams(answer);
    });
    if (status.groups_counted) {
      await part("groups-error", current, async () => {
        const answer = await ask("api/v1/groups", { limit: 200 });
        if (current()) showGroups(answer, view, choose);
      });
    }
  } catch (error) {
    if (!current()) return;
    if (!(error instanceof NoAnswer)) console.error(error);
    const silent = (performance.now() - heard) / 1000;
    notice((error instanceof NoAnswer ? error.message : "The page cannot show the exporter's answer.") + (silent > 2 * interval / 1000 ? ` The figures are ${age(silent)} old.` : ""), true);
  }
  if (!current()) return;
  if (!performance.getEntriesByName("shown").length) performance.mark("shown"); // how long the first view takes
  plan(interval);
}

/** Runs one part of a round. What the exporter says against the request is shown beside it; other errors end the round. */
async function part(place, current, run) {
  let text = "";
  try {
    await run();
  } catch (error) {
    if (!(error instanceof NoAnswer) || error.status === 0 || error.status === 401) throw error;
    text = error.message;
  }
  if (current()) setText(byId(place), text);
}

function notice(text, stale = false) {
  setText(byId("notice"), text);
  document.body.classList.toggle("stale", stale);
}

/** Has the next round begin after a time in ms, unless nobody looks. */
function plan(after) {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(askAll, after);
}

/** Changes the view, and shows it. */
function choose(change, step = false) {
  view = { ...view, ...change };
  address.write(view, step);
  fillForm();
  showStreamSort(view);
  askAll();
  if (step) byId("streams-title").scrollIntoView({ block: "start" });
}

function fillForm() {
  for (const field of byId("filter").elements) {
    if (field.name && field.value !== view[field.name]) field.value = view[field.name];
  }
}

function start() {
  startGroups(() => view, choose);
  startStreams(choose);
  fillForm();
  showStreamSort(view);
  const form = byId("filter");
  let key = 0;
  const readForm = () => {
    clearTimeout(key);
    choose(Object.fromEntries(new FormData(form)));
  };
  form.addEventListener("input", (event) => {
    clearTimeout(key);
    key = setTimeout(readForm, event.target.tagName === "SELECT" ? 0 : typing);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    readForm();
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    clearTimeout(key);
    choose(Object.fromEntries([...form.elements].filter((f) => f.name).map((f) => [f.name, ""])), true);
  });
  addEventListener("popstate", () => {
    view = address.read();
    fillForm();
    showStreamSort(view);
    askAll();
  });
  byId("pause").addEventListener("click", () => {
    paused = !paused;
    byId("pause").setAttribute("aria-pressed", String(paused));
    if (paused) clearTimeout(timer);
    else askAll();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!paused) askAll();
  });
  byId("live").hidden = false;
  askAll();
}

start();
