// Elements. Text comes in as text alone: nothing here takes markup.

export const byId = (id) => document.getElementById(id);

/** Sets an element's text, if it is another one: a screen reader hears no changes that are none. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Makes an element with a class and children, which are elements or text. */
export function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/**
 * Brings the children of a parent into the order of items. Each item has a child of its own, found by its key; create(item) makes one, fill(child,
 * item) brings it up to date. What has the focus keeps it.
 */
export function keep(parent, items, key, create, fill) {
  const focused = document.activeElement;
  const had = (parent.kept ??= new Map());
  const now = new Map();
  items.forEach((item, i) => {
    const k = key(item);
    if (now.has(k)) return;
    const child = had.get(k) ?? create(item);
    now.set(k, child);
    fill(child, item);
    const at = now.size - 1;
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
  for (const [k, child] of had) if (!now.has(k)) child.remove();
  parent.kept = now;
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus();
}

/** Returns the cell i of a row, which it makes if there is none. The first cell is the row's header. */
export function cell(row, i, className = "") {
  while (row.cells.length <= i) {
    const c = document.createElement(row.cells.length === 0 ? "th" : "td");
    if (row.cells.length === 0) c.scope = "row";
    row.append(c);
  }
  const c = row.cells[i];
  if (c.className !== className) c.className = className;
  return c;
}

/** Sets two lines of text in a cell, the second one smaller; an empty one is left out. */
export function lines(c, first, second = "") {
  if (!c.first) {
    c.first = document.createTextNode("");
    c.second = make("span", "second");
    c.replaceChildren(c.first, c.second);
  }
  if (c.first.data !== first) c.first.data = first;
  setText(c.second, second);
  c.second.hidden = second === "";
}

/**
 * Makes the head of a table whose columns may be sorted: {name, title, className, order}. order is "ascending" or "descending", how the column is
 * sorted first; without it the column is not sorted. chosen(name) is called with a click.
 */
export function head(table, columns, chosen) {
  const row = table.tHead.rows[0];
  row.replaceChildren(...columns.map((column) => {
    const th = make("th", column.className);
    th.scope = "col";
    if (!column.order) {
      th.textContent = column.title;
      return th;
    }
    const button = make("button", "", column.title);
    button.type = "button";
    button.addEventListener("click", () => chosen(column.name));
    th.append(button);
    th.dataset.name = column.name;
    return th;
  }));
}

/** Shows by which column a table is sorted. */
export function showSort(table, name, order) {
  for (const th of table.tHead.rows[0].cells) {
    if (!th.dataset.name) continue;
    if (th.dataset.name === name) th.setAttribute("aria-sort", order);
    else th.removeAttribute("aria-sort");
  }
}
