//! What happens in a child between fork and exec, on Linux.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::brand::Brand;

/// Gives the child a session and a brand of its own, and nothing of what we have changed or been handed.
#[allow(unsafe_code)]
pub(super) fn detach(command: &mut Command, brand: Brand) {
    let limit = brand.limit();
    let in_child = move || {
        rustix::process::setsid()?;
        limit.set();
        // SAFETY: between fork and exec in a process that may have had other threads; every call here is on the list
        // of those that are safe in a signal handler, takes plain numbers or what is on the stack, and allocates nothing. An all-zero action, whatever its
        // layout, says "default"; the array is longer than any.
        unsafe {
            // Ignored signals outlive exec: an agent under nohup must not make its services deaf to SIGHUP. The call
            // itself is used because the library's refuses two of the signals.
            for signal in 1..=64 {
                let default = [0_u64; 8];
                let nowhere = std::ptr::null_mut::<u64>();
                libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nowhere, size_of::<u64>());
            }
            let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
            // What the agent was itself handed without close-on-exec. Closing only at exec keeps the pipe by which
            // the parent learns of a failure. A kernel that doesn't know the call (before 5.11) leaves it as it is.
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        }
        Ok(())
    };
    // SAFETY: the closure does nothing that is not allowed between fork and exec; see there.
    unsafe { command.pre_exec(in_child) };
}
