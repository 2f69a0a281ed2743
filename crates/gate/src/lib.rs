//! The gate: whatever changes a lattice passes here, and the policy is asked first.
//!
//! Hosts and wadm listen on private subjects; the gate has the public ones. What is only read passes, what is allowed
//! passes with it, what is refused is answered in the interface's own words. [`control`] and [`manifest`] say what is
//! asked, [`judge`] asks it, [`service`] is the way from subject to subject. Nothing is kept here but what files hold
//! ([`image`]): a gate that is started anew knows all that it needs.

pub mod answer;
pub mod control;
pub mod image;
pub mod judge;
pub mod lattice;
pub mod manifest;
pub mod names;
pub mod question;
pub mod service;
pub mod starts;
