// Keys and what they do. In a text field only Escape and the saving keys count, so that one can write. And clicks: once.

/** Watch the keyboard: `keys` is a list of { key, does, run, shown, withControl, inText, once }. */
export function watchKeys(keys) {
  const table = new Map(keys.map((key) => [name(key.key, key.withControl), key]));
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.altKey) return;
    const found = table.get(name(event.key, event.ctrlKey || event.metaKey));
    if (!found || (isWriting(event.target) && !found.inText)) return;
    // a key that is held down must not decide on questions that nobody has seen
    if (event.repeat && found.once) return event.preventDefault();
    if (found.run(event) !== false) event.preventDefault();
  });
}

function name(key, withControl = false) {
  return `${withControl ? "Ctrl+" : ""}${key.length === 1 ? key.toLowerCase() : key}`;
}

function isWriting(element) {
  return element instanceof HTMLTextAreaElement || element instanceof HTMLInputElement || Boolean(element.closest?.(".writing select"));
}

/**
 * Leave the second click of a double click on a button: by then another question, or the next item of a list, may be there.
 *
 * What may be pressed again and again, as to turn pages, has the class "again".
 */
export function watchClicks() {
  const leave = (event) => {
    const button = event.detail > 1 && event.target instanceof Element && event.target.closest("button");
    if (!button || button.classList.contains("again")) return;
    event.preventDefault();
    event.stopPropagation();
  };
  document.addEventListener("click", leave, true);
}
