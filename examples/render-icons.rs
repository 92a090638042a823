//! Renders the lights of `icons/` in all the sizes that the program embeds: `cargo run --example render-icons`.
//!
//! With `--check` it writes nothing and exits with 1 if a rendered file is not what its source gives.

#[path = "../tests/icons/render.rs"]
mod render;

use std::process::ExitCode;

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    let mut stale = 0;
    for icon in render::all() {
        if std::fs::read(&icon.path).is_ok_and(|bytes| render::pixels(&bytes) == render::pixels(&icon.png)) {
            continue;
        }
        stale += 1;
        println!("{}", icon.path.display());
        if !check {
            std::fs::write(&icon.path, &icon.png).expect("the folder of the icons can be written");
        }
    }
    if check && stale > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
