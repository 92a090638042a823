//! What services' processes cost, looked up when somebody asks: a user, or the engine for a service with a limit.
//!
//! Nothing is sampled while nobody looks, and between two looks only what the last one found is kept. It
//! signals nothing and decides nothing.

mod lately;
mod meter;
mod sample;
mod tree;

pub use lately::Lately;
pub use meter::TreeMeters;
pub use sample::{Observer, ProcessUse, Root, Usage};
