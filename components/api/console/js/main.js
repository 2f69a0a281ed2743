// Where the page begins: who is signed in, and which view the address names.

import { h, say, show } from "./dom.js";
import { feed } from "./feed.js";
import { session } from "./session.js";
import { button, icon, problem } from "./ui.js";
import { door } from "./views/door.js";
import { overview } from "./views/overview.js";
import { events } from "./views/events.js";
import { story } from "./views/story.js";
import { rules } from "./views/rules.js";
import { consumers } from "./views/consumers.js";
import { consumer } from "./views/consumer.js";
import { letters } from "./views/letters.js";
import { usage } from "./views/usage.js";

const PLACES = [
  ["overview", "Overview"], ["events", "Events"], ["rules", "Rules"],
  ["consumers", "Consumers"], ["letters", "Dead letters"], ["usage", "Usage"],
];

/** Of the address' parts: which view, and how the place is called. */
function find([place = "overview", ...rest]) {
  switch (place) {
    case "overview": return [overview, "Overview"];
    case "events": return rest.length === 2 ? [story, "One event"] : [events, "Events"];
    case "rules": return [rules, rest[0] ? `Rules: ${rest[0]}` : "Rules"];
    case "consumers": return rest[0] ? [consumer, `Consumer ${rest[0]}`] : [consumers, "Consumers"];
    case "letters": return [letters, "Dead letters"];
    case "usage": return [usage, "Usage and invoices"];
    default: return [nowhere, "Not found"];
  }
}

const app = document.getElementById("app");
let leave = null;
const NOTHING = () => false;
/** Whether the view holds something that would be lost. */
let unsaved = NOTHING;
let shown = location.hash;

function parts() {
  const path = location.hash.replace(/^#\/?/, "").split("?")[0];
  try {
    return path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return ["nowhere"];
  }
}

function route(first = false) {
  if (!session.current) return signIn();
  if (!document.querySelector(".shell")) frame();
  if (!first && !mayLeave()) return history.replaceState(null, "", shown || "#/overview");
  shown = location.hash;
  leave?.abort();
  leave = new AbortController();
  unsaved = NOTHING;
  const path = parts();
  const [view, title] = find(path);
  document.title = `${title} · ${session.current.tenant} · EventRunner`;
  for (const link of document.querySelectorAll(".places a")) {
    if (link.dataset.place === (path[0] ?? "overview")) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  const main = document.getElementById("main");
  try {
    show(main, view({ path: path.slice(1), signal: leave.signal, guard: (ask) => { unsaved = ask; } }));
  } catch (cause) {
    show(main, problem(cause));
    throw cause;
  }
  // Who works by keyboard or ear begins where the new view begins.
  if (!first) main.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
  return undefined;
}

/** Asks before what is unsaved is lost. */
function mayLeave() {
  return !unsaved() || window.confirm("What you changed here is not saved. Leave it all the same?");
}

function nowhere() {
  return [h("h1", { tabindex: "-1" }, "There is no such place"), h("p", {}, h("a", { href: "#/overview" }, "Go to the overview"))];
}

function frame() {
  const { tenant, role } = session.current;
  const theme = button("", () => { window.erTheme.toggle(); label(); }, { tone: "tiny", id: "theme" });
  const label = () => show(theme, window.erTheme.isDark() ? "Light" : "Dark", h("span", { class: "unseen" }, " colours"));
  label();
  show(app, h("div", { class: "shell" },
    h("header", { class: "side" },
      h("div", { class: "brand" }, h("img", { src: "/console/icon.svg", alt: "" }), h("span", {}, "EventRunner")),
      h("nav", { class: "places", "aria-label": "Places" }, h("ul", { class: "bare" }, PLACES.map(([place, name]) =>
        h("li", {}, h("a", { href: `#/${place}`, "data-place": place }, icon(place), name))))),
      h("div", { class: "who" },
        h("p", { class: "name" }, h("span", { class: "unseen" }, "Signed in for the tenant "), h("strong", {}, tenant), h("span", { class: "role" }, role.replaceAll("_", " "))),
        h("div", { class: "row" }, theme, button("Sign out", signOut, { tone: "tiny" })))),
    h("main", { id: "main", tabindex: "-1" })));
  feed.start("");
}

function signOut() {
  if (!mayLeave()) return;
  session.end();
  leave?.abort();
  unsaved = NOTHING;
  feed.stop();
  // Whoever comes next begins at the beginning; a link that somebody opens leads where it says.
  history.replaceState(null, "", location.pathname + location.search);
  signIn();
  say("Signed out.");
}

function signIn() {
  document.title = "Sign in · EventRunner";
  show(app, door(() => { route(true); document.querySelector("main h1")?.focus(); }));
  document.querySelector("#key")?.focus();
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  const main = document.querySelector("main");
  main?.focus();
  main?.scrollIntoView();
});
addEventListener("hashchange", () => route());
addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });
route(true);
