//! Components that are what they should be, and components that are not, each made for its test.

mod made;
mod refused;
mod samples;
