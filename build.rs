//! Tells the linker how to lay out the program that people run, so that little of it becomes resident.
//!
//! Nothing here changes what the program does, and a linker that does not understand is not asked: each wish is tried on
//! an empty program first. Builds for debugging and for other systems are left alone.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Puts what an idle agent runs next to each other; `layout/warm.py` makes it.
const WARM: &str = "layout/warm.ld";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={WARM}");
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|found| found == value);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return Ok(());
    }
    let trial = Trial::prepare()?;
    let script = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join(WARM);
    let warm = format!("-Wl,-T,{}", script.display());
    if trial.link(&warm) {
        println!("cargo::rustc-link-arg-bins={warm}");
    }
    // Addresses to be adjusted at the start take a bit each instead of 24 bytes, all of which are read. Such a program
    // needs a C library that knows them (glibc 2.36), so it is built only where one can be run.
    let packed = "-Wl,-z,pack-relative-relocs";
    if is("HOST", &env::var("TARGET")?) && trial.link(packed) && trial.run() {
        println!("cargo::rustc-link-arg-bins={packed}");
    }
    Ok(())
}

/// An empty program, linked the way the real one will be.
struct Trial {
    source: PathBuf,
    program: PathBuf,
}

impl Trial {
    fn prepare() -> Result<Self, Box<dyn Error>> {
        let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
        let trial = Self { source: folder.join("trial.rs"), program: folder.join("trial") };
        std::fs::write(&trial.source, "fn main() {}\n")?;
        Ok(trial)
    }

    /// Whether the linker takes `argument`, without a word: one that it only warns about does nothing.
    fn link(&self, argument: &str) -> bool {
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--crate-type=bin", "--crate-name=trial", "--target"]).args(env::var_os("TARGET"));
        if let Some(linker) = env::var_os("RUSTC_LINKER") {
            let mut option = std::ffi::OsString::from("-Clinker=");
            option.push(linker);
            rustc.arg(option);
        }
        let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
        rustc.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
        rustc.arg(format!("-Clink-arg={argument}")).args(["-Clink-arg=-Wl,--fatal-warnings", "-o"]);
        rustc.arg(&self.program).arg(&self.source);
        rustc.output().is_ok_and(|output| output.status.success())
    }

    /// Whether what was linked last starts on this machine.
    fn run(&self) -> bool {
        Command::new(&self.program).status().is_ok_and(|status| status.success())
    }
}
