//! What services' processes cost, looked up when somebody asks: a user, or the engine for a service with a limit.
//!
//! Nothing is sampled while nobody looks, and between two looks only the processor times of the last one are kept. It
//! signals nothing and decides nothing.

mod meter;
mod sample;
mod tree;

pub use meter::TreeMeters;
pub use sample::{Observer, ProcessUse, Root, Usage};
