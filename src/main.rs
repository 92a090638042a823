//! The program `pilotlight`: see the library for everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == "demo-service") {
        return pilotlight::demo::run(args);
    }
    ExitCode::from(2)
}
