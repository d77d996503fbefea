// Questions to the exporter.

const patience = 10_000; // ms until an answer counts as missing

/** An answer that is none. text is what the reader is told; retry is set if asking again may help. */
export class NoAnswer extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

/** Asks for a path below the page's own, with parameters, and returns the answer. */
export async function ask(path, parameters = {}) {
  const url = new URL(path, document.baseURI);
  url.username = url.password = ""; // fetch refuses an address with a password, and the browser knows it already
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== "") url.searchParams.set(name, value);
  }
  let response;
  try {
    response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(patience) });
  } catch {
    throw new NoAnswer("The exporter does not answer. Trying again.", 0);
  }
  if (response.status === 401) {
    throw new NoAnswer("The exporter asks for a user and a password (401). Trying again; reload the page to enter them.", 401);
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    if (response.ok) throw new NoAnswer("The exporter's answer broke off. Trying again.", 0);
  }
  if (!response.ok) {
    throw new NoAnswer(body?.error ?? `The exporter answers with status ${response.status}. Trying again.`, response.status);
  }
  return body;
}
