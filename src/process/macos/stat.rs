//! What the kernel tells of a process on macOS, and the identity that outlives its number.

#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One process, told apart from every other that had or will have its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::process) struct Identity {
    /// Its number.
    pub pid: u32,
    /// When it began, in microseconds since 1970.
    pub start: u64,
}

/// What is used here of what the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct Stat {
    /// Who it is.
    pub identity: Identity,
    /// Its parent's number.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session; 0 where that can't be told.
    pub session: u32,
    /// It has ended; it only waits to be collected.
    pub dead: bool,
    /// It is the kernel itself.
    pub kernel: bool,
}

/// A process's state as a zombie (`SZOMB` of sys/proc.h).
const ZOMBIE: u32 = 5;
/// Says that the dead count as well (second meaning of the argument of `PROC_PIDTBSDINFO`).
const ALSO_THE_DEAD: u64 = 1;

impl Stat {
    /// Reads it for `pid`; `None` if there is no such process (any more), or another user's that is not shown.
    pub fn read(pid: u32) -> io::Result<Option<Self>> {
        // SAFETY: what is asked for is that structure, of plain numbers.
        let told = unsafe { told::<libc::proc_bsdinfo>(pid, libc::PROC_PIDTBSDINFO, ALSO_THE_DEAD) }?;
        let Some(told) = told else { return Ok(None) };
        let session = super::end::raw(pid).and_then(|pid| rustix::process::getsid(Some(pid)).ok());
        Ok(Some(Self {
            identity: Identity { pid, start: told.pbi_start_tvsec * 1_000_000 + told.pbi_start_tvusec },
            parent: told.pbi_ppid,
            group: told.pbi_pgid,
            session: session.map_or(0, |session| session.as_raw_nonzero().get().cast_unsigned()),
            dead: told.pbi_status == ZOMBIE,
            kernel: pid == 0,
        }))
    }
}

/// The numbers of all processes.
pub(in crate::process) fn list() -> io::Result<Vec<u32>> {
    let mut room = 1024_usize;
    loop {
        let mut pids = vec![0 as libc::pid_t; room];
        let size = c_int::try_from(size_of_val(pids.as_slice())).map_err(io::Error::other)?;
        // SAFETY: the buffer is as long as is said, and the call writes no more than that.
        let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast::<c_void>(), size) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        if count == 0 {
            return Err(io::Error::last_os_error());
        }
        // A full list may lack some.
        if count < room {
            return Ok(pids.into_iter().take(count).filter_map(|pid| u32::try_from(pid).ok()).collect());
        }
        room *= 2;
    }
}

/// The environment that a process began with, each variable with a NUL behind it; `None` if it has none, or may not be
/// looked at.
pub(in crate::process) fn environment(pid: u32) -> io::Result<Option<Vec<u8>>> {
    Ok(arguments(pid)?.map(|(_, environment)| environment))
}

/// The command line of a process, its words with a NUL behind each.
pub(in crate::process) fn command_line(pid: u32) -> Option<Vec<u8>> {
    arguments(pid).ok().flatten().map(|(words, _)| words)
}

/// The user as whom a process acts.
pub(in crate::process) fn owner(pid: u32) -> Option<u32> {
    // SAFETY: what is asked for is that structure, of plain numbers.
    unsafe { told::<libc::proc_bsdinfo>(pid, libc::PROC_PIDTBSDINFO, 0) }.ok()?.map(|told| told.pbi_uid)
}

/// The working folder of a process, if it may be known.
pub(in crate::process) fn folder(pid: u32) -> Option<PathBuf> {
    // SAFETY: what is asked for is that structure, of plain numbers and arrays of them.
    let told = unsafe { told::<libc::proc_vnodepathinfo>(pid, libc::PROC_PIDVNODEPATHINFO, 0) }.ok()??;
    let path: Vec<u8> = told.pvi_cdir.vip_path.as_flattened().iter().map(|byte| byte.cast_unsigned()).collect();
    let path = CStr::from_bytes_until_nul(&path).ok()?.to_bytes();
    (!path.is_empty()).then(|| OsStr::from_bytes(path).into())
}

/// How long ago a process began that started at `start` (microseconds since 1970); zero if that lies ahead.
pub(in crate::process) fn age(start: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_micros(start))
}

/// The id of this boot of the machine.
pub(in crate::process) fn boot_id() -> io::Result<String> {
    let mut text = [0_u8; 64];
    let mut length = text.len();
    // SAFETY: the name ends with a NUL; the buffer is as long as is said, and the call writes no more than that.
    let done = unsafe {
        libc::sysctlbyname(c"kern.bootsessionuuid".as_ptr(), text.as_mut_ptr().cast(), &mut length, null_mut(), 0)
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let text = CStr::from_bytes_until_nul(&text).map_err(io::Error::other)?;
    Ok(text.to_string_lossy().into_owned())
}

/// What the kernel tells of `pid` when it is asked for `kind`; `None` if there is no such process, or one that may not be
/// looked at.
///
/// SAFETY: `T` must be the structure that `kind` is answered by, and all zero must be a value of it.
unsafe fn told<T>(pid: u32, kind: c_int, argument: u64) -> io::Result<Option<T>> {
    let Ok(number) = c_int::try_from(pid) else { return Ok(None) };
    let mut told = MaybeUninit::<T>::zeroed();
    let room = c_int::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the buffer is as long as is said, and the call writes no more than that.
    let length = unsafe { libc::proc_pidinfo(number, kind, argument, told.as_mut_ptr().cast::<c_void>(), room) };
    if length < room {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Err(error),
            Some(_) | None => Ok(None),
        };
    }
    // SAFETY: the call has filled in the whole structure, which was all zero before; the caller says what it is.
    Ok(Some(unsafe { told.assume_init() }))
}

/// The words and the environment that a process began with; `None` if there is no such process, or one that may not be
/// looked at.
fn arguments(pid: u32) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let Ok(number) = c_int::try_from(pid) else { return Ok(None) };
    let mut longest = [libc::CTL_KERN, libc::KERN_ARGMAX];
    let mut size: c_int = 0;
    let mut length = size_of::<c_int>();
    // SAFETY: the name has two numbers, as is said; the value is an `int`, which `size` is.
    let done =
        unsafe { libc::sysctl(longest.as_mut_ptr(), 2, (&raw mut size).cast::<c_void>(), &mut length, null_mut(), 0) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut bytes = vec![0_u8; usize::try_from(size).unwrap_or(1 << 20)];
    let mut length = bytes.len();
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, number];
    // SAFETY: the name has three numbers, as is said; the buffer is as long as is said, and the call writes no more.
    let done = unsafe { libc::sysctl(name.as_mut_ptr(), 3, bytes.as_mut_ptr().cast(), &mut length, null_mut(), 0) };
    if done != 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ENOMEM) { Err(error) } else { Ok(None) };
    }
    bytes.truncate(length);
    Ok(parse(&bytes))
}

/// Takes apart what the kernel tells: the number of words, the program's path, NULs, the words, the environment.
fn parse(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    let path_end = rest.iter().position(|byte| *byte == 0)?;
    let words_begin = path_end + rest[path_end..].iter().position(|byte| *byte != 0)?;
    let rest = &rest[words_begin..];
    let ends = rest.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at + 1);
    let words_end = if count == 0 { 0 } else { ends.take(count).last()? };
    let (words, environment) = rest.split_at(words_end);
    Some((words.to_vec(), environment.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_environment_are_told_apart_by_the_number_of_words() {
        let bytes = [&2_i32.to_ne_bytes()[..], b"/bin/x\0\0\0\0x\0-l\0A=1\0B=2\0"].concat();
        let (words, environment) = parse(&bytes).unwrap();
        assert_eq!((&*words, &*environment), (&b"x\0-l\0"[..], &b"A=1\0B=2\0"[..]));
        assert_eq!(parse(&bytes[..6]), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn we_are_young_and_known_to_ourselves() {
        let own = Stat::read(std::process::id()).unwrap().unwrap();
        assert_eq!(own.identity.pid, std::process::id());
        assert!(!own.dead && age(own.identity.start) < Duration::from_secs(24 * 3600));
        assert!(list().unwrap().contains(&std::process::id()));
        assert!(!boot_id().unwrap().is_empty());
    }
}
