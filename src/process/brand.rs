//! The brand of a run: what its processes inherit and can't lay down by accident.
//!
//! Who has left its session and lost its parent, and has begun anew with an empty environment, carries no other sign of
//! where it comes from. Limits are handed down at each fork, and survive `exec`, `setsid` and a new environment. The one on
//! file locks has been enforced by no kernel since Linux 2.4.25, so its soft value is the brand: a number that is as
//! good as unique for the state directory and the run. The hard value stays as it is, so that whoever is below a service may set
//! it again, another agent for its own runs above all.
//!
//! It is more than the marker in the environment only for who has lost that: a brand names no service, so a run that is
//! known by nothing else is not found by it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::process::{Resource, getrlimit};

use super::limit::Limit;
use super::stat;
use crate::domain::Fnv1a;

/// The brand of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Brand(u64);

impl Brand {
    /// The brand of `run` under `state_dir`: the same in every build, because the next agent looks for it.
    pub fn of(state_dir: &OsStr, run: &str) -> Self {
        let mut sum = Fnv1a::default();
        [state_dir.as_bytes(), &[0], run.as_bytes()].into_iter().for_each(|part| sum.write(part));
        // Larger than any number that people would set, and less than "no limit".
        Self((sum.sum() >> 2) | (1 << 61))
    }

    /// The brand of the process `pid`; `None` if it has none, or is gone.
    pub fn read(pid: u32) -> io::Result<Option<Self>> {
        Ok(stat::limits(pid)?.and_then(|text| Self::parse(&text)))
    }

    fn parse(limits: &[u8]) -> Option<Self> {
        let line = limits.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Max file locks"))?;
        let soft = std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
        (soft >> 61 == 1).then_some(Self(soft))
    }

    /// The limit that brands who has it. Where it can't be set (the agent's own hard limit is lower), the process is known
    /// by the other signs.
    pub fn limit(self) -> Limit {
        Limit::new(Resource::Locks, self.0, getrlimit(Resource::Locks).maximum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::detach::detach;
    use super::*;

    #[test]
    fn a_brand_tells_runs_and_state_directories_apart_and_never_changes() {
        let brand = Brand::of(OsStr::new("/state"), "r-1");
        assert_eq!(brand, Brand::of(OsStr::new("/state"), "r-1"));
        assert_ne!(brand, Brand::of(OsStr::new("/state"), "r-2"));
        assert_ne!(brand, Brand::of(OsStr::new("/other"), "r-1"));
        assert_ne!(Brand::of(OsStr::new("/a"), "b"), Brand::of(OsStr::new("/a\0b"), ""));
        assert_eq!(Brand::of(OsStr::new("/s"), "r").0, BRAND_OF_R);
    }

    #[test]
    fn what_people_set_is_no_brand() {
        let line =
            |soft: &str| format!("Limit     Soft Limit\nMax file locks            {soft} unlimited    locks     \n");
        for none in ["unlimited", "0", "1000000", "2305843009213693951", "4611686018427387904", "x", ""] {
            assert_eq!(Brand::parse(line(none).as_bytes()), None, "{none}");
        }
        let brand = Brand::of(OsStr::new("/s"), "r");
        assert_eq!(Brand::parse(line(&brand.0.to_string()).as_bytes()), Some(brand));
        assert_eq!(Brand::parse(b""), None);
    }

    #[test]
    fn a_child_keeps_its_brand_through_a_new_session_and_an_empty_environment() {
        let brand = Brand::of(OsStr::new("/s"), "r");
        let mut command = std::process::Command::new("env");
        detach(
            command.args(["-i", "setsid", "--fork", "env", "-i", "/bin/sh", "-c", "echo $$; exec sleep 1000"]),
            brand,
        );
        let own = getrlimit(Resource::Locks);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        child.wait().unwrap();
        let pid: u32 = line.trim().parse().unwrap();
        assert_eq!(getrlimit(Resource::Locks), own, "we have none");
        assert_eq!(Brand::read(pid).unwrap(), Some(brand));
        let orphan = stat::Stat::read(pid).unwrap().unwrap();
        assert_eq!(orphan.session, pid);
        super::super::end::signal(orphan.identity, &[rustix::process::Signal::KILL]).unwrap();
    }

    /// What an agent of any version finds.
    const BRAND_OF_R: u64 = 2_790_426_538_765_391_009;
}
