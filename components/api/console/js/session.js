// Who is signed in. The key rests in sessionStorage and nowhere else: it is gone with the tab, is sent to this origin
// only, and no other tab or later visitor finds it. In memory alone it would be lost with each reload.

const KEY = "er-console-session";
const OPERATOR = "operator";
/** Who may change things; viewers look, and publishers don't even do that. */
const WRITERS = ["superuser", "tenant_admin", "admin"];
const SHAPE = /^er_([a-z0-9-]{1,40})_[A-Za-z0-9_-]{43}$/;

/** The tenant that a key names; none for what is no key. */
export function tenantOf(key) {
  return SHAPE.exec(key)?.[1] ?? null;
}

export const session = {
  /** `{key, tenant, role, operator, writes}`, or null. `writes`: whether the key may change anything. */
  current: read(),
  begin(key, tenant, role) {
    this.current = { key, tenant, role, operator: isOperator(key), writes: WRITERS.includes(role) };
    sessionStorage.setItem(KEY, JSON.stringify(this.current));
  },
  end() {
    this.current = null;
    sessionStorage.removeItem(KEY);
  },
};

export function isOperator(key) {
  return tenantOf(key) === OPERATOR;
}

function read() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return kept && tenantOf(kept.key) && kept.tenant ? kept : null;
  } catch {
    return null;
  }
}
