//! What policies see as `data`: the bundle's own, what was published over it, and the tenants' records.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{json, Map, Value};

/// What the policies need of a tenant's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    pub suspended: bool,
}

/// Who there is, as the policy that counts sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    tenants: BTreeSet<String>,
    /// The platform's own manifests.
    manifests: BTreeSet<String>,
}

// === impl Names ===

impl Names {
    #[must_use]
    pub fn of(data: &Value) -> Self {
        let platform = data.get("platform");
        let named = |key| platform.and_then(|platform| platform.get(key));
        let tenants = named("tenants").and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect();
        let manifests = named("manifests").and_then(Value::as_array).into_iter().flatten();
        Self { tenants, manifests: manifests.filter_map(Value::as_str).map(str::to_owned).collect() }
    }

    /// The tenant whose a manifest is by its name (`<tenant>-…`): the one with the longest name. None: the platform's,
    /// or nobody's.
    #[must_use]
    pub fn owner<'a>(&self, manifest: &'a str) -> Option<&'a str> {
        if self.manifests.contains(manifest) {
            return None;
        }
        let beginnings = manifest.rmatch_indices('-').map(|(at, _)| manifest.split_at(at).0);
        beginnings.into_iter().find(|name| self.tenants.contains(*name))
    }
}

/// Lays `over` on `base`: objects field by field, everything else whole. `null` is a value like others.
pub fn lay_over(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(key) {
                    Some(own) => lay_over(own, value),
                    None => {
                        base.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// All of it. A tenant's record decides whether the tenant is suspended, whatever was published says.
#[must_use]
pub fn assembled(bundle: &Value, published: Option<&Value>, tenants: &BTreeMap<String, Tenant>) -> Value {
    let mut data = bundle.clone();
    if let Some(published) = published {
        lay_over(&mut data, published);
    }
    let records: Map<String, Value> =
        tenants.iter().map(|(id, tenant)| (id.clone(), json!({"suspended": tenant.suspended}))).collect();
    if !records.is_empty() {
        lay_over(&mut data, &json!({"platform": {"tenants": records}}));
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_joined_and_all_else_is_replaced() {
        let mut base = json!({"a": {"x": 1, "y": [1, 2]}, "b": 1});
        lay_over(&mut base, &json!({"a": {"y": [3], "z": null}, "b": {"c": 1}}));
        assert_eq!(base, json!({"a": {"x": 1, "y": [3], "z": null}, "b": {"c": 1}}));
    }

    #[test]
    fn a_manifest_is_the_tenants_whose_name_is_the_longest_that_begins_it() {
        let names = Names::of(&json!({"platform": {
            "manifests": ["eventrunner", "eventrunner-production"],
            "tenants": {"acme": {}, "acme-eu": {}, "eventrunner": {}},
        }}));
        for (manifest, owner) in [
            ("acme-alert", Some("acme")),
            ("acme-eu-alert", Some("acme-eu")),
            ("acme-eu", Some("acme")),
            ("acme-europe-x", Some("acme")),
            ("acme", None),
            ("acmes-alert", None),
            ("eventrunner", None),
            ("eventrunner-production", None),
            ("eventrunner-x", Some("eventrunner")),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(names.owner(manifest), owner, "{manifest}");
        }
        assert_eq!(Names::of(&json!({})), Names::default());
    }

    #[test]
    fn a_suspended_tenant_is_suspended_whatever_was_published() {
        let published = json!({"platform": {"tenants": {"acme": {"suspended": false, "blocked_types": ["x"]}}}});
        let tenants = BTreeMap::from([("acme".to_owned(), Tenant { suspended: true })]);
        let data = assembled(&json!({"platform": {"roles": {}}}), Some(&published), &tenants);
        let acme = json!({"suspended": true, "blocked_types": ["x"]});
        assert_eq!(data, json!({"platform": {"roles": {}, "tenants": {"acme": acme}}}));
    }
}
