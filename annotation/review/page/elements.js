// Builds elements. Everything shown goes through textContent or attributes, so no text of a data set is ever markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Return an element; children may be nodes, texts, or nothing. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replace what an element holds. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

/**
 * Replace what an element holds; what is in use stays in use: who types into a field goes on typing there.
 *
 * Else the rest of a word would be taken for keys. Fields and items that may be in use have a `data-key`, and fields whose
 * text counts only when they are left `data-late`.
 */
export function putAnew(element, ...children) {
  const used = document.activeElement;
  const part = element.contains(used) ? used.closest("[data-key]") : null;
  put(element, ...children);
  const again = part && [...element.querySelectorAll("[data-key]")].find((other) => other.dataset.key === part.dataset.key);
  if (!again) return;
  if (part === used && used.selectionStart !== undefined && used.selectionStart !== null) {
    if ("late" in used.dataset) again.value = used.value;
    again.setSelectionRange(used.selectionStart, used.selectionEnd);
  }
  again.focus({ preventScroll: true });
}

/** Return seconds as people say them. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
