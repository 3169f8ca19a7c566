/** Dialogs and short messages. The browser's own `<dialog>` keeps the focus inside and gives it back. */

import { sentence } from "./api.js";
import { h, replace } from "./dom.js";
import { icon } from "./icons.js";

let names = 0;

/**
 * Ask for something in a dialog, and do it.
 *
 * @param {object} asked
 * @param {string} asked.title
 * @param {Node|string} [asked.about] what it means
 * @param {object[]} [asked.fields] `{name, label, kind, value, hint, required, options, …}`; `kind` is the type of an
 *   input, `textarea`, `select` or `checkbox`; what else is given are attributes
 * @param {string} asked.confirm what the button says
 * @param {boolean} [asked.danger] whether it cannot be undone
 * @param {(values: object) => Promise<unknown>} asked.act does it; the dialog stays open, with the sentence of what it
 *   throws
 * @returns {Promise<unknown>} what `act` returned; undefined where it was not done
 */
export function ask({ title, about, fields = [], confirm, danger = false, act }) {
  names += 1;
  const heading = `dialog-${names}`;
  const problem = h("p", { class: "form-problem", role: "alert" });
  const button = h("button", { class: danger ? "button danger" : "button primary", type: "submit" }, confirm);
  const form = h(
    "form",
    { method: "dialog", class: "dialog-form" },
    h("h2", { id: heading }, title),
    about ? h("div", { class: "dialog-about" }, about) : null,
    fields.map((each) => field(each, `${heading}-${each.name}`)),
    problem,
    h(
      "div",
      { class: "dialog-buttons" },
      h("button", { class: "button", type: "button", on: { click: () => dialog.close() } }, "Cancel"),
      button,
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": heading, class: "dialog" }, form);
  document.body.append(dialog);

  return new Promise((resolve) => {
    let result;
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      replace(problem);
      try {
        result = await act(values(form, fields));
        dialog.close();
      } catch (error) {
        replace(problem, sentence(error));
      } finally {
        button.disabled = false;
      }
    });
    dialog.showModal();
  });
}

function field({ name, label, kind = "text", value, hint, options, ...attributes }, id) {
  const hinted = hint ? { "aria-describedby": `${id}-hint` } : {};
  const given = { id, name, ...hinted, ...attributes };
  let control;
  if (kind === "textarea") control = h("textarea", { rows: 3, dir: "auto", ...given }, value ?? "");
  else if (kind === "select") {
    control = h(
      "select",
      given,
      options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
    );
  } else if (kind === "checkbox") {
    return h(
      "label",
      { class: "check", for: id },
      h("input", { type: "checkbox", checked: Boolean(value), ...given }),
      label,
    );
  } else control = h("input", { type: kind, value, autocomplete: "off", ...given });
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    control,
    hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null,
  );
}

function values(form, fields) {
  return Object.fromEntries(
    fields.map(({ name, kind }) => {
      const control = form.elements.namedItem(name);
      return [name, kind === "checkbox" ? control.checked : control.value];
    }),
  );
}

/**
 * Tell something in passing, at the page's lower edge. Screen readers say it, too.
 * @param {string} text @param {"info"|"problem"} [kind]
 */
export function tell(text, kind = "info") {
  let place = document.querySelector(".toasts");
  if (!place) {
    place = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(place);
  }
  const toast = h(
    "div",
    { class: `toast ${kind}` },
    icon(kind === "problem" ? "warning" : "check"),
    h("span", { dir: "auto" }, text),
  );
  place.append(toast);
  setTimeout(() => toast.remove(), kind === "problem" ? 9000 : 5000);
}

/** Do `work`; what it throws is told in passing. Returns what it returned, or undefined. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") tell(sentence(error), "problem");
    return undefined;
  }
}
