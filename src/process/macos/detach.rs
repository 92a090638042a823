//! What happens in a child between fork and exec, on macOS.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::brand::Brand;

/// The highest number of a signal (`NSIG` of signal.h less one).
const LAST_SIGNAL: libc::c_int = 31;

/// Gives the child a session of its own, and nothing of what we have changed or been handed.
#[allow(unsafe_code)]
pub(in crate::process) fn detach(command: &mut Command, _brand: Brand) {
    let in_child = || {
        rustix::process::setsid()?;
        // SAFETY: between fork and exec in a process that may have had other threads; every call here is on the list
        // of those that are safe in a signal handler, takes plain numbers or what is on the stack, and allocates nothing.
        unsafe {
            // Ignored signals outlive exec: an agent under nohup must not make its services deaf to SIGHUP. The two that
            // can't be set refuse.
            for signal in 1..=LAST_SIGNAL {
                libc::signal(signal, libc::SIG_DFL);
            }
            let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
            // What the agent was itself handed without close-on-exec. Closing only at exec keeps the pipe by which
            // the parent learns of a failure; numbers that are not open refuse.
            for descriptor in 3..libc::getdtablesize() {
                libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
            }
        }
        Ok(())
    };
    // SAFETY: the closure does nothing that is not allowed between fork and exec; see there.
    unsafe { command.pre_exec(in_child) };
}
