//! One process held by a handle: waits for its end, tells how it ended. The same for children and others.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::process::Child;
use std::ptr::null_mut;

use tokio::sync::oneshot;
use windows_sys::Win32::Foundation::{ERROR_INVALID_PARAMETER, FILETIME, HANDLE, INVALID_HANDLE_VALUE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::Threading::{
    GetExitCodeProcess, GetProcessTimes, INFINITE, OpenProcess, OpenThread, PROCESS_DUP_HANDLE,
    PROCESS_QUERY_INFORMATION, PROCESS_SET_QUOTA, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, RegisterWaitForSingleObject,
    ResumeThread, THREAD_SUSPEND_RESUME, TerminateProcess, UnregisterWaitEx, WT_EXECUTEONLYONCE, WaitForSingleObject,
};

use crate::domain::Exit;

/// One process, told apart from every other that had or will have its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Its number.
    pub pid: u32,
    /// When it began, in units of 100 ns since 1601.
    pub start: u64,
}

/// A process that can't be mistaken for another, even after its end: its number stays its own while the handle is open.
#[derive(Debug)]
pub(super) struct Held {
    identity: Identity,
    handle: OwnedHandle,
}

impl Held {
    /// Holds the process `pid`; `None` if there is none, or none that this user may open.
    pub fn open(pid: u32) -> io::Result<Option<Self>> {
        let access = PROCESS_QUERY_INFORMATION
            | PROCESS_SYNCHRONIZE
            | PROCESS_TERMINATE
            | PROCESS_SET_QUOTA
            | PROCESS_DUP_HANDLE;
        // SAFETY: the call takes plain numbers.
        let handle = unsafe { OpenProcess(access, 0, pid) };
        if handle.is_null() {
            let error = io::Error::last_os_error();
            let is_gone = error.raw_os_error() == i32::try_from(ERROR_INVALID_PARAMETER).ok();
            let is_anothers = error.kind() == io::ErrorKind::PermissionDenied;
            return if is_gone || is_anothers { Ok(None) } else { Err(error) };
        }
        // SAFETY: the call above has given us this handle, and nobody else knows it.
        let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
        let start = began(handle.as_handle())?;
        Ok(Some(Self { identity: Identity { pid, start }, handle }))
    }

    /// Holds the process `identity`; `None` if it has ended.
    pub fn open_living(identity: Identity) -> io::Result<Option<Self>> {
        Ok(Self::open(identity.pid)?.filter(|held| held.identity == identity && !held.has_ended()))
    }

    /// Holds a child of ours.
    pub fn child(child: Child) -> io::Result<Self> {
        let pid = child.id();
        let handle = OwnedHandle::from(child);
        let start = began(handle.as_handle())?;
        Ok(Self { identity: Identity { pid, start }, handle })
    }

    /// Who it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Waits until it has ended. The system tells; nothing is polled.
    pub async fn ended(&self) {
        if self.has_ended() {
            return;
        }
        match Wait::begin(self.handle.as_handle()) {
            // The other end goes with the wait itself, which is here.
            Ok(mut wait) => drop((&mut wait.ended).await),
            Err(error) => {
                tracing::error!("end of pid {} cannot be waited for: {error}", self.identity.pid);
                std::future::pending().await
            }
        }
    }

    /// Blocks until it has ended.
    pub fn wait(&self) -> io::Result<()> {
        // SAFETY: the handle is open as long as it is borrowed.
        match unsafe { WaitForSingleObject(self.handle.as_raw_handle(), INFINITE) } {
            WAIT_OBJECT_0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        // SAFETY: the handle is open as long as it is borrowed; a time of zero does not wait.
        unsafe { WaitForSingleObject(self.handle.as_raw_handle(), 0) == WAIT_OBJECT_0 }
    }

    /// How it ended; to be asked once it has.
    pub fn exit(&self) -> Exit {
        let mut code = 0;
        // SAFETY: the handle is open, and `code` is there for the call to write to.
        match unsafe { GetExitCodeProcess(self.handle.as_raw_handle(), &mut code) } {
            0 => Exit::Unknown,
            // The status of a crash has its highest bit set, and is known as a negative number.
            _ => Exit::Code(code.cast_signed()),
        }
    }

    /// Ends it at once, and nothing that it has started.
    pub fn terminate(&self) -> io::Result<()> {
        // SAFETY: the handle is open.
        match unsafe { TerminateProcess(self.handle.as_raw_handle(), 1) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Lets a process begin whose first thread was made suspended.
    pub fn resume(&self) -> io::Result<()> {
        let threads = threads_of(self.identity.pid)?;
        for thread in &threads {
            // SAFETY: the call takes plain numbers.
            let handle = unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, *thread) };
            if handle.is_null() {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the call above has given us this handle, and nobody else knows it.
            let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
            // SAFETY: the handle is open.
            if unsafe { ResumeThread(handle.as_raw_handle()) } == u32::MAX {
                return Err(io::Error::last_os_error());
            }
        }
        if threads.is_empty() { Err(io::Error::other("it has no thread")) } else { Ok(()) }
    }
}

impl AsHandle for Held {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }
}

/// When a process began, in units of 100 ns since 1601.
fn began(process: BorrowedHandle<'_>) -> io::Result<u64> {
    let nothing = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut began, mut ended, mut kernel, mut user) = (nothing, nothing, nothing, nothing);
    // SAFETY: the handle is borrowed for the call's duration, and all four times are there to be written to.
    match unsafe { GetProcessTimes(process.as_raw_handle(), &mut began, &mut ended, &mut kernel, &mut user) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(u64::from(began.dwHighDateTime) << 32 | u64::from(began.dwLowDateTime)),
    }
}

/// The threads of the process `pid`.
fn threads_of(pid: u32) -> io::Result<Vec<u32>> {
    // SAFETY: the call takes plain numbers.
    let list = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
    if list == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has given us this handle, and nobody else knows it.
    let list = unsafe { OwnedHandle::from_raw_handle(list) };
    let size = u32::try_from(size_of::<THREADENTRY32>()).map_err(io::Error::other)?;
    let mut entry = THREADENTRY32 { dwSize: size, ..THREADENTRY32::default() };
    let mut threads = Vec::new();
    // SAFETY: the handle is open, and `entry` says its own size and is there to be written to.
    let mut more = unsafe { Thread32First(list.as_raw_handle(), &mut entry) } != 0;
    while more {
        if entry.th32OwnerProcessID == pid {
            threads.push(entry.th32ThreadID);
        }
        // SAFETY: as above.
        more = unsafe { Thread32Next(list.as_raw_handle(), &mut entry) } != 0;
    }
    Ok(threads)
}

/// A wait that the system's thread pool does for us, ended by dropping it.
struct Wait {
    wait: HANDLE,
    /// What the pool's thread is handed: ours again once the wait is over or taken back.
    told: *mut Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<()>,
}

impl Wait {
    fn begin(process: BorrowedHandle<'_>) -> io::Result<Self> {
        let (tell, ended) = oneshot::channel();
        let told = Box::into_raw(Box::new(Some(tell)));
        let mut wait = null_mut();
        // SAFETY: `told` lives until `drop` has taken the wait back; the process's handle is owned by the `Held` that
        // is borrowed by the future which holds this wait, so it is open as long.
        let done = unsafe {
            RegisterWaitForSingleObject(
                &mut wait,
                process.as_raw_handle(),
                Some(tell_end),
                told.cast(),
                INFINITE,
                WT_EXECUTEONLYONCE,
            )
        };
        if done == 0 {
            let error = io::Error::last_os_error();
            // SAFETY: nobody was given the pointer, which comes from a box.
            drop(unsafe { Box::from_raw(told) });
            return Err(error);
        }
        Ok(Self { wait, told, ended })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // SAFETY: the handle is the registered wait's; the special second value makes the call return only after the
        // pool's thread is done with `told`, which then is ours alone and comes from a box.
        unsafe {
            UnregisterWaitEx(self.wait, INVALID_HANDLE_VALUE);
            drop(Box::from_raw(self.told));
        }
    }
}

/// Called by the pool's thread, once.
extern "system" fn tell_end(told: *mut c_void, _timed_out: bool) {
    // SAFETY: the pointer is the one that was registered, alive until the wait is taken back, which waits for us.
    if let Some(tell) = unsafe { (*told.cast::<Option<oneshot::Sender<()>>>()).take() } {
        // Whoever waited may have gone.
        let _ = tell.send(());
    }
}
