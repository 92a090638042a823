//! The job of one run: everything that its main process has started, and what that has started in turn.

#![allow(unsafe_code)]

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{DuplicateHandle, ERROR_FILE_NOT_FOUND, ERROR_MORE_DATA, HANDLE};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, IsProcessInJob, JOBOBJECT_BASIC_PROCESS_ID_LIST,
    JobObjectBasicProcessIdList, OpenJobObjectW, QueryInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::held::Held;
use crate::domain::RunId;

/// `JOB_OBJECT_ASSIGN_PROCESS | JOB_OBJECT_QUERY | JOB_OBJECT_TERMINATE` of winnt.h.
const ACCESS: u32 = 0x0001 | 0x0004 | 0x0008;
/// `JOB_OBJECT_QUERY` of winnt.h: all that the main process's own handle is good for.
const LENT_ACCESS: u32 = 0x0004;
/// The exit code of processes that are ended with their job.
const KILLED: u32 = 1;

/// A Job Object.
#[derive(Debug)]
pub(super) struct Job {
    handle: OwnedHandle,
}

impl Job {
    /// Makes the job of `run`, with nothing in it; one of that name is taken as it is.
    pub fn create(run: &RunId) -> io::Result<Self> {
        let name = name(run);
        // SAFETY: the name is a string with a NUL at its end that outlives the call; no attributes are handed over.
        owned(unsafe { CreateJobObjectW(null(), name.as_ptr()) })
    }

    /// The job of `run`, if somebody still holds it.
    pub fn open(run: &RunId) -> io::Result<Option<Self>> {
        let name = name(run);
        // SAFETY: as above.
        match owned(unsafe { OpenJobObjectW(ACCESS, 0, name.as_ptr()) }) {
            Ok(job) => Ok(Some(job)),
            Err(error) if is(&error, ERROR_FILE_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a process into it, and with it everything that it will start.
    pub fn take_in(&self, process: &Held) -> io::Result<()> {
        // SAFETY: both handles are open.
        done(unsafe { AssignProcessToJobObject(self.raw(), process.as_handle().as_raw_handle()) })
    }

    /// Whether a process is in it.
    pub fn holds(&self, process: &Held) -> io::Result<bool> {
        let mut holds = 0;
        // SAFETY: both handles are open, and `holds` is there to be written to.
        done(unsafe { IsProcessInJob(process.as_handle().as_raw_handle(), self.raw(), &mut holds) })?;
        Ok(holds != 0)
    }

    /// Gives `process` a handle of the job that goes when it ends: the job's name lasts as long, whatever becomes of us.
    pub fn lend_to(&self, process: &Held) -> io::Result<()> {
        let (receiver, mut theirs) = (process.as_handle().as_raw_handle(), null_mut());
        // SAFETY: all handles are open; what is written to `theirs` is a number in the other process that means
        // nothing here.
        done(unsafe { DuplicateHandle(GetCurrentProcess(), self.raw(), receiver, &mut theirs, LENT_ACCESS, 0, 0) })
    }

    /// The processes in it.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        let mut room = 64;
        loop {
            match self.first_pids(room) {
                Err(error) if is(&error, ERROR_MORE_DATA) => room *= 2,
                pids => return pids,
            }
        }
    }

    /// The processes in it, if there are no more than `room`.
    fn first_pids(&self, room: usize) -> io::Result<Vec<u32>> {
        const HEAD: usize = size_of::<JOBOBJECT_BASIC_PROCESS_ID_LIST>() / size_of::<usize>() - 1;
        let mut list = vec![0_usize; HEAD + room];
        let size = u32::try_from(size_of_val(list.as_slice())).map_err(io::Error::other)?;
        // SAFETY: the buffer is as long as is said, and aligned for the structure, whose widest field is a `usize`.
        let asked = unsafe {
            QueryInformationJobObject(
                self.raw(),
                JobObjectBasicProcessIdList,
                list.as_mut_ptr().cast(),
                size,
                null_mut(),
            )
        };
        done(asked)?;
        // SAFETY: the call has filled in the head, which the buffer is long enough and aligned for.
        let count = unsafe { (*list.as_ptr().cast::<JOBOBJECT_BASIC_PROCESS_ID_LIST>()).NumberOfProcessIdsInList };
        let count = usize::try_from(count).unwrap_or(room);
        Ok(list.iter().skip(HEAD).take(count).filter_map(|pid| u32::try_from(*pid).ok()).collect())
    }

    /// Ends every process in it at once.
    pub fn terminate(&self) -> io::Result<()> {
        // SAFETY: the handle is open.
        done(unsafe { TerminateJobObject(self.raw(), KILLED) })
    }

    fn raw(&self) -> HANDLE {
        self.handle.as_raw_handle()
    }
}

/// The name of a run's job, in the user's session, with a NUL at its end. Run ids differ from agent to agent.
fn name(run: &RunId) -> Vec<u16> {
    format!("Local\\pilotlight-{}\0", run.as_str()).encode_utf16().collect()
}

fn owned(handle: HANDLE) -> io::Result<Job> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller has just been given this handle by the system, and nobody else knows it.
    Ok(Job { handle: unsafe { OwnedHandle::from_raw_handle(handle) } })
}

fn done(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == i32::try_from(code).ok()
}
