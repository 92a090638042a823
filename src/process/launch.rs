//! The short way to a new process: without a copy of the agent.
//!
//! `fork` copies the tables of all memory that the agent uses, and then each page again that either side writes to.
//! Here the memory is lent instead, until the program has begun, as `posix_spawn` does it, which can't set a limit
//! (`brand`): set by us it would be everybody's for a moment, and set from outside it would come too late. What is lacking
//! is the search along another `PATH`, and a way to run scripts that name no interpreter. So whatever fails here is to be tried
//! again the long way, which also tells why.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Access, access};

use super::brand::{Brand, Limit};

/// What is to run, and with what.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub argv: &'a [String],
    pub cwd: &'a Path,
    /// All of it: nothing is inherited.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// Where its output and its errors go.
    pub output: &'a File,
    /// What tells its processes from all others.
    pub brand: Brand,
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
        // SAFETY: takes plain numbers. It marks descriptors that we were handed without close-on-exec; ours have it, and
        // those that the service is given lose it when they are put in their places.
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        let (argv, environment) = (pointers(&argv), pointers(&environment));
        begin(&Plan {
            program: program.as_ptr(),
            argv: argv.as_ptr(),
            environment: environment.as_ptr(),
            cwd: cwd.as_ptr(),
            output: self.output.as_raw_fd(),
            limit: self.brand.limit(),
            failed: AtomicBool::new(false),
        })
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

/// All that the child needs, with nothing left to be allocated.
struct Plan {
    program: *const c_char,
    argv: *const *const c_char,
    environment: *const *const c_char,
    cwd: *const c_char,
    output: c_int,
    limit: Limit,
    /// Told by the child: it has not become the program.
    failed: AtomicBool,
}

/// The room, in words of 16 bytes, in which a child calls the system until it is the program.
const STACK: usize = 4096;

/// Runs `plan` in a child that has our memory until it is the program; `None` if it has not become it.
#[allow(unsafe_code)]
fn begin(plan: &Plan) -> Option<u32> {
    let mut stack = Box::<[u128]>::new_uninit_slice(STACK);
    let mut own = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `plan` and the stack outlive the child's use of them, because we are held until it is the program or has
    // ended (`CLONE_VFORK`). It has a stack of its own, which grows down from the end of the block. No handler of
    // ours runs in it: all signals are held back until it has set them to their defaults. A set is bits, and one with all of
    // them holds all signals.
    let pid = unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        all.as_mut_ptr().write_bytes(0xff, 1);
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), own.as_mut_ptr());
        let top = stack.as_mut_ptr().add(STACK).cast::<c_void>();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let pid = libc::clone(become_program, top, flags, std::ptr::from_ref(plan).cast_mut().cast::<c_void>());
        libc::pthread_sigmask(libc::SIG_SETMASK, own.as_ptr(), std::ptr::null_mut());
        pid
    };
    let pid = u32::try_from(pid).ok()?;
    if plan.failed.load(Ordering::Acquire) {
        if let Some(pid) = super::end::raw(pid) {
            // Nobody else knows of it, and it has ended.
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
        }
        return None;
    }
    Some(pid)
}

/// What the child does. It has our memory: it allocates nothing, locks nothing, and calls nothing but the system.
#[allow(unsafe_code)]
extern "C" fn become_program(plan: *mut c_void) -> c_int {
    // SAFETY: is the `Plan` of `begin`, which is held meanwhile.
    let plan = unsafe { &*plan.cast::<Plan>() };
    // SAFETY: every call takes plain numbers, or pointers to what `plan` keeps or to what is on the stack; lists and
    // texts end with a null. An all-zero action, whatever its layout, says "default"; the array is longer than any.
    unsafe {
        // Ignored signals outlive exec: an agent under nohup must not make its services deaf to SIGHUP. The call itself is
        // used because the library's refuses two of the signals.
        for signal in 1..=64 {
            let default = [0_u64; 8];
            let nowhere = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nowhere, size_of::<u64>());
        }
        plan.limit.set();
        let done = libc::setsid() >= 0 && {
            let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
            let is_input = nothing >= 0 && libc::dup2(nothing, 0) == 0;
            if nothing > 2 {
                libc::close(nothing);
            }
            is_input && libc::dup2(plan.output, 1) == 1 && libc::dup2(plan.output, 2) == 2
        };
        if done && libc::chdir(plan.cwd) == 0 {
            let mut none = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
            libc::execve(plan.program, plan.argv, plan.environment);
        }
        plan.failed.store(true, Ordering::Release);
        libc::_exit(127)
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
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}
