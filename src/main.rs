//! The program `pilotlight`: see the library for everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    pilotlight::app::main()
}
