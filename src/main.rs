//! The program `pilotlight`: see the library for everything.

fn main() {}
