//! How memory is kept: one heap for all threads.

/// Has all threads take their memory from one heap, if nothing has been taken by another thread yet.
///
/// The C library gives each thread a heap of its own, so that they need not wait for each other; ours hardly ever meet,
/// and each heap keeps what was freed in it.
#[allow(unsafe_code)]
pub fn share_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes plain numbers, and may be called at any time. It fails on an unknown number only, which harms nothing.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
