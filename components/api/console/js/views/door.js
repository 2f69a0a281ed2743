// Signing in: with a key, and for operators a tenant.

import { ask, json, Problem } from "../api.js";
import { h, show } from "../dom.js";
import { isOperator, session, tenantOf } from "../session.js";
import { field, problem } from "../ui.js";

const MANY = 1000;

/** `enter` is called once somebody is signed in. */
export function door(enter) {
  const key = h("input", {
    type: "password", id: "key", name: "key", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true, placeholder: "er_…",
  });
  const fault = h("div", {});
  const more = h("div", { class: "stack", hidden: true });
  const go = h("button", { type: "submit", class: "button main" }, "Sign in");
  let tenant = null;

  async function submit(event) {
    event.preventDefault();
    if (go.getAttribute("aria-busy") === "true") return;
    go.setAttribute("aria-busy", "true");
    show(fault);
    try {
      const text = key.value.trim();
      const own = tenantOf(text);
      if (!own) {
        throw new Problem({ title: "That is no API key", detail: "A key begins with er_, then has the tenant's name and 43 characters.",
          mend: "Take it as it was shown when it was made; an admin makes another with POST /api/v1/keys." });
      }
      if (isOperator(text) && !tenant) return await choose(text);
      await begin(text, tenant ? tenant.value : own);
      enter();
    } catch (cause) {
      show(fault, problem(cause));
      key.setAttribute("aria-invalid", "true");
      if (!tenant) key.focus();
    } finally {
      go.removeAttribute("aria-busy");
    }
    return undefined;
  }

  /** Operators have no events of their own: they look at one tenant. */
  async function choose(text) {
    const named = new URLSearchParams(location.search).get("tenant");
    const { tenants, next } = await json("/tenants", { key: text, named: true, query: { limit: MANY } });
    const names = tenants.map(({ id }) => id);
    if (named && names.includes(named)) {
      await begin(text, named);
      return enter();
    }
    // A list is chosen from; a very long one is better typed.
    tenant = next ? h("input", { type: "text", id: "tenant" })
      : h("select", { id: "tenant" }, names.map((name) => h("option", { value: name }, name)));
    show(more, field("Tenant", tenant, names.length ? "Operators look at one tenant at a time." : "There is no tenant yet."));
    more.hidden = false;
    key.readOnly = true;
    show(go, "Open");
    tenant.focus();
    return undefined;
  }

  return h("main", { class: "door", id: "main", tabindex: "-1" },
    h("div", { class: "card" },
      h("div", { class: "brand" }, h("img", { src: "/console/icon.svg", alt: "" }), h("h1", { tabindex: "-1" }, "EventRunner console")),
      h("form", { onsubmit: submit, novalidate: true },
        field("API key", key, "Of a viewer to look, of an admin to change things. It stays in this tab and is forgotten with it."),
        more, fault, go)));
}

/** Asks who the key's holder is. A key that is no good, or may not look at this tenant, is refused here. */
async function begin(key, tenant) {
  const { extra } = await json("/whoami", { key, named: true });
  await ask("/rules", { key, named: true, query: isOperator(key) ? { tenant } : {} });
  session.begin(key, tenant, extra.role);
}
