//! Limits that a child sets for itself before it becomes its program.

use rustix::process::Resource;

/// A limit as the kernel takes it (`struct rlimit64`), and of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    resource: libc::c_long,
    value: Value,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Value {
    soft: u64,
    /// `u64::MAX` says that there is none.
    hard: u64,
}

impl Limit {
    /// A limit of `resource`; without a hard value there is none.
    pub fn new(resource: Resource, soft: u64, hard: Option<u64>) -> Self {
        Self { resource: resource as libc::c_long, value: Value { soft, hard: hard.unwrap_or(u64::MAX) } }
    }

    /// Sets it for the calling process, if that is allowed; safe between fork and exec.
    #[allow(unsafe_code)]
    pub fn set(&self) {
        let ourselves: libc::c_long = 0;
        let unasked = std::ptr::null_mut::<Value>();
        // SAFETY: the call reads the value, which has the kernel's layout; with a null pointer it does not tell the one
        // before.
        unsafe { libc::syscall(libc::SYS_prlimit64, ourselves, self.resource, &raw const self.value, unasked) };
    }
}
