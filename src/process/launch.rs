//! The short way to a new process: without a copy of the agent.
//!
//! `fork` copies the tables of all memory that the agent uses, and then each page again that either side writes to.
//! `posix_spawn` lends the memory instead, until the program has begun. It knows all that a service needs; what it lacks
//! is the search along another `PATH`, and a way to run scripts that name no interpreter. So whatever fails here is to be tried
//! again the long way, which also tells why.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use libc::{c_char, c_int, posix_spawn_file_actions_t, posix_spawnattr_t};
use rustix::fs::{Access, access};

/// What is to run, and with what.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub argv: &'a [String],
    pub cwd: &'a Path,
    /// All of it: nothing is inherited.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// Where its output and its errors go.
    pub output: &'a File,
}

impl Launch<'_> {
    /// Starts it in a session of its own, with default signals and nothing else of what we have changed or been handed;
    /// gives its pid. `None`: nothing has been started.
    #[allow(unsafe_code)]
    pub fn begin(&self) -> Option<u32> {
        let program = text(self.program()?.into_os_string())?;
        let cwd = text(self.cwd.as_os_str().to_owned())?;
        let argv: Vec<_> = self.argv.iter().map(|argument| text(argument.into())).collect::<Option<_>>()?;
        let environment: Vec<_> = self.environment.iter().map(assignment).collect::<Option<_>>()?;
        let actions = Actions::of(self.output, &cwd)?;
        let attributes = Attributes::of_service()?;
        let mut pid = 0;
        // SAFETY: takes plain numbers. It marks descriptors that we were handed without close-on-exec; ours have it, and
        // those that the service is given lose it when they are put in their places.
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        // SAFETY: all pointers lead to what lives until the end of this function; both lists end with a null pointer.
        // The call has returned when the child no longer needs them.
        let result = unsafe {
            let (argv, environment) = (pointers(&argv), pointers(&environment));
            let program = program.as_ptr();
            libc::posix_spawn(
                &raw mut pid,
                program,
                &raw const actions.0,
                &raw const attributes.0,
                argv.as_ptr(),
                environment.as_ptr(),
            )
        };
        (result == 0).then(|| u32::try_from(pid).ok()).flatten()
    }

    /// The file to run, found as the child would find it, where that is certain.
    fn program(&self) -> Option<PathBuf> {
        let program = Path::new(self.argv.first()?);
        if program.as_os_str().as_bytes().contains(&b'/') {
            return Some(program.to_owned());
        }
        for folder in std::env::split_paths(self.environment.get(OsStr::new("PATH"))?) {
            let file = folder.join(program);
            if !folder.is_absolute() {
                return None;
            }
            if file.is_file() {
                return access(&file, Access::EXEC_OK).is_ok().then_some(file);
            }
        }
        None
    }
}

/// What the child does before it becomes the program.
struct Actions(posix_spawn_file_actions_t);

impl Actions {
    #[allow(unsafe_code)]
    fn of(output: &File, cwd: &CString) -> Option<Self> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: initialises it, or fails.
        if unsafe { libc::posix_spawn_file_actions_init(raw.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: was initialised just now.
        let mut actions = Self(unsafe { raw.assume_init() });
        let actions_of_child = &raw mut actions.0;
        // SAFETY: is initialised; paths are copied, and numbers are only kept for the child.
        let results = unsafe {
            [
                libc::posix_spawn_file_actions_addopen(actions_of_child, 0, c"/dev/null".as_ptr(), libc::O_RDONLY, 0),
                libc::posix_spawn_file_actions_adddup2(actions_of_child, output.as_raw_fd(), 1),
                libc::posix_spawn_file_actions_adddup2(actions_of_child, output.as_raw_fd(), 2),
                libc::posix_spawn_file_actions_addchdir_np(actions_of_child, cwd.as_ptr()),
            ]
        };
        (results == [0; 4]).then_some(actions)
    }
}

impl Drop for Actions {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: is initialised, and not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// What the child is.
struct Attributes(posix_spawnattr_t);

impl Attributes {
    /// A session of its own, no signal held back, and all at their defaults: ignored ones outlive the start, and an
    /// agent under nohup must not make its services deaf to SIGHUP.
    #[allow(unsafe_code)]
    fn of_service() -> Option<Self> {
        const FLAGS: c_int = libc::POSIX_SPAWN_SETSID as c_int
            | libc::POSIX_SPAWN_SETSIGDEF as c_int
            | libc::POSIX_SPAWN_SETSIGMASK as c_int;
        let mut raw = MaybeUninit::uninit();
        // SAFETY: initialises it, or fails.
        if unsafe { libc::posix_spawnattr_init(raw.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: was initialised just now.
        let mut attributes = Self(unsafe { raw.assume_init() });
        let of_child = &raw mut attributes.0;
        let (mut none, mut all) = (MaybeUninit::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
        // SAFETY: is initialised; sets are copied. A set is bits, and one with all of them holds all signals: the
        // library's own way leaves two out.
        let results = unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            all.as_mut_ptr().write_bytes(0xff, 1);
            [
                libc::posix_spawnattr_setflags(of_child, FLAGS as _),
                libc::posix_spawnattr_setsigmask(of_child, none.as_ptr()),
                libc::posix_spawnattr_setsigdefault(of_child, all.as_ptr()),
            ]
        };
        (results == [0; 3]).then_some(attributes)
    }
}

impl Drop for Attributes {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: is initialised, and not used again.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// `None` if it holds a NUL.
fn text(text: OsString) -> Option<CString> {
    CString::new(text.into_vec()).ok()
}

fn assignment((name, value): (&OsString, &OsString)) -> Option<CString> {
    let mut variable = OsString::with_capacity(name.len() + value.len() + 2);
    variable.push(name);
    variable.push("=");
    variable.push(value);
    text(variable)
}

/// A list for the system: pointers that are good as long as `texts`, and a null pointer.
fn pointers(texts: &[CString]) -> Vec<*mut c_char> {
    texts.iter().map(|text| text.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect()
}
