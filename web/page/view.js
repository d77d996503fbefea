// What the reader has chosen: sort and filter. The address bar holds it, so that it can be kept and passed on.

const names = ["sort", "addr", "port", "group", "service", "interface", "vlan", "state", "limit", "groups_sort"];

/** Returns what the address bar holds. */
export function read() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(names.map((name) => [name, given.get(name) ?? ""]));
}

/** Puts a view into the address bar; with step, the reader can go back to the one before. */
export function write(view, step = false) {
  const given = new URLSearchParams();
  for (const name of names) if (view[name]) given.set(name, view[name]);
  const query = given.toString();
  const address = location.pathname + (query ? "?" + query : "");
  if (address === location.pathname + location.search) return;
  history[step ? "pushState" : "replaceState"](null, "", address);
}
