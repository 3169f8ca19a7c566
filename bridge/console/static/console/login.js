/** The page that asks for an API token. */

import { sentence, session } from "../common/api.js";
import { h, replace } from "../common/dom.js";
import { logo } from "./layout.js";

/** The page; whoever shows it is told by `session.watch` when somebody has logged in. */
export function loginPage() {
  const problem = h("p", { class: "form-problem", role: "alert", id: "login-problem" });
  const button = h("button", { class: "button primary", type: "submit" }, "Log in");
  const field = h("input", {
    type: "password",
    id: "token",
    name: "token",
    required: true,
    autocomplete: "current-password",
    "aria-describedby": "login-problem token-hint",
    spellcheck: "false",
  });
  const form = h(
    "form",
    { class: "login card" },
    h("div", { class: "login-head" }, logo(), h("h1", {}, "phone-bridge")),
    h(
      "div",
      { class: "field" },
      h("label", { for: "token" }, "API token"),
      field,
      h("p", { class: "hint", id: "token-hint" }, "The value of ", h("code", {}, "BRIDGE_API__TOKEN"), ", or one of ", h("code", {}, "api.tokens"), "."),
    ),
    problem,
    button,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    replace(problem);
    try {
      await session.open(field.value);
    } catch (error) {
      replace(problem, error.status === 401 ? "This token is not known to the bridge." : sentence(error));
      field.select();
      field.focus();
    } finally {
      button.disabled = false;
    }
  });
  const node = h("main", { class: "alone", id: "main" }, form);
  queueMicrotask(() => field.focus());
  return node;
}
