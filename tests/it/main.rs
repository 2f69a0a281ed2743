//! The platform's promises, tried end to end on real processes: a module a theme.
//!
//! Most tests share one platform and run beside each other, each with a tenant of its own. Tests that break something
//! run alone. Every wait has a condition and a deadline; every random choice has a seed that is printed (`ER_SEED`
//! replays it).

mod scene;
mod support;
mod watched;

mod apps;
mod backpressure;
mod billing;
mod console;
mod consumers;
mod contract;
mod delivery_faults;
mod filters;
mod foreign;
mod gate;
mod gateway;
mod gateway_rules;
mod github;
mod grafana;
mod grpc;
mod hostile;
mod ingest_modes;
mod isolation;
mod kills;
mod languages;
mod malformed;
mod metrics;
mod oci;
mod policy;
mod quota;
mod redelivery;
mod rules;
mod stores;
mod strikes;
mod tail;
mod tenants_keys;
mod traces;
mod tutorial;
