//! What services' processes cost, looked up when somebody asks.
//!
//! Nothing is sampled while nobody looks, and between two looks only the processor times of the last one are kept. It
//! signals nothing and decides nothing.

mod sample;
mod tree;

pub use sample::{Observer, ProcessUse, Root, Usage};
