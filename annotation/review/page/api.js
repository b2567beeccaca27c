// Talks to the server. Addresses are relative: the token is the first part of the page's own address.

/** The server did not answer, or not as the review does; nothing is known of what became of the request. */
export class Unreachable extends Error {}

/** The server refused; `problems` says why. Who comes with no right address gets no word: it was started anew. */
export class Refused extends Error {
  constructor(status, problems = null) {
    super((problems ?? [`the server refused (${status})`]).join("; "));
    this.status = status;
    this.problems = problems ?? [this.message];
    this.isWordless = !problems && [401, 403, 404].includes(status);
  }
}

/** Send `body` as JSON and return the answer. */
export async function post(path, body = {}) {
  let response;
  try {
    response = await fetch(`api/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new Unreachable("the server does not answer");
  }
  if (response.ok) return response.json();
  // it is full, stopped behind a proxy, or lets nobody in for a while: no word about what was sent
  if (response.status >= 500 || response.status === 429) throw new Unreachable(`the server does not answer (${response.status})`);
  const answer = await response.json().catch(() => ({}));
  throw new Refused(response.status, answer.problems);
}

/** Said where the server knows an address no more; the page stays as it is. */
export const UNKNOWN_HERE = "The server knows this address no more: it was started anew, or your link was replaced. Open the address that it printed, or your new link.";

/** Return an id unlike any other: a decision that is sent twice is stored once. */
export function newRequestId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
