// Who may do what, in Ory's Permission Language. The relations hold whoever has that role: they are written by the control
// provider from the records of tenants, members and API keys (providers/control/src/keto), and by nobody else. The permits
// are what Oathkeeper asks for (deploy/oathkeeper/rules.yml); their names are the platform's actions
// (crates/event/src/keys.rs), and a test holds both to mean the same.

import { Context, Namespace } from "@ory/keto-namespace-types"

// Users of the identity provider by their `sub`, and API keys as `key:<tenant>:<id>`.
class User implements Namespace {}

// The one object of it is `eventrunner`.
class Platform implements Namespace {
  related: {
    superusers: User[]
  }

  permits = {
    tenants: (ctx: Context): boolean => this.related.superusers.includes(ctx.subject),
  }
}

class Tenant implements Namespace {
  related: {
    platform: Platform[]
    tenant_admins: User[]
    admins: User[]
    event_publishers: User[]
    viewers: User[]
  }

  permits = {
    members: (ctx: Context): boolean =>
      this.related.tenant_admins.includes(ctx.subject) ||
      this.related.platform.traverse((platform) => platform.permits.tenants(ctx)),

    keys: (ctx: Context): boolean => this.related.admins.includes(ctx.subject) || this.permits.members(ctx),

    write: (ctx: Context): boolean => this.permits.keys(ctx),

    read: (ctx: Context): boolean => this.related.viewers.includes(ctx.subject) || this.permits.write(ctx),

    publish: (ctx: Context): boolean => this.related.event_publishers.includes(ctx.subject) || this.permits.write(ctx),
  }
}
