//! Billing in a world in memory: its arithmetic is tested in `er-metering`, here what is done with it.

mod closing;
mod looking;
mod planning;
mod world;
