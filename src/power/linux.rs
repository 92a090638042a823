//! Linux: a timer that the kernel cancels whenever the calendar clock jumps, which waking up makes it do; then the
//! clock that counts sleep is compared with the one that does not.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::domain::Event;
use crate::engine::ports::Inbox;

/// Tells `inbox` from now on when the machine has slept. To be called within a tokio runtime.
///
/// A clock that is merely set is told as such: budgets are kept on a clock that does not mind, times of day do. Where the
/// kernel offers no such timer, nothing is told, and the log says so.
pub fn tell_resumes(inbox: Inbox) {
    match alarm().and_then(register) {
        Ok(alarm) => drop(tokio::spawn(listen(alarm, inbox))),
        Err(error) => tracing::warn!("failed to watch for resume from sleep, which goes unnoticed: {error}"),
    }
}

async fn listen(alarm: AsyncFd<OwnedFd>, inbox: Inbox) {
    let mut slept = time_asleep();
    loop {
        let woken = tokio::select! {
            woken = alarm.readable() => woken,
            () = inbox.closed() => return,
        };
        let told = woken.map(|mut ready| {
            // Ends as cancelled; the count of a timer that did run out says nothing more.
            let _ = ready.try_io(|alarm| Ok(rustix::io::read(alarm, &mut [0; 8])?));
        });
        if let Err(error) = told.and_then(|()| arm(alarm.get_ref())) {
            tracing::warn!("failed to go on watching for resume from sleep: {error}");
            return;
        }
        let now = time_asleep();
        let event = if is_sleep(slept, now) { Event::Resumed } else { Event::ClockSet };
        if inbox.send(event).is_err() {
            return;
        }
        slept = now;
    }
}

// Deprecated because a type may hand out another descriptor later than it did at registration; an `OwnedFd` never does.
#[allow(deprecated)]
fn register(alarm: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(alarm, Interest::READABLE)
}

fn alarm() -> io::Result<OwnedFd> {
    let alarm = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    arm(&alarm)?;
    Ok(alarm)
}

/// Sets the timer to a time that never comes: it is there to be cancelled.
fn arm(alarm: &OwnedFd) -> io::Result<()> {
    let never = Timespec { tv_sec: i64::MAX / 1_000_000_000, tv_nsec: 0 };
    let timer = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
    match timerfd_settime(alarm, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &timer) {
        // Armed all the same: the clock has jumped since the last time, and is compared after this.
        Ok(_) | Err(Errno::CANCELED) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// How long the machine has slept since it was booted.
fn time_asleep() -> Duration {
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    // In this order, so that what passes between the two readings is never taken for sleep.
    let asleep_or_awake = read(ClockId::Boottime);
    asleep_or_awake.saturating_sub(read(ClockId::Monotonic))
}

/// Whether so much more time asleep is a sleep; the two clocks are not read at one time.
fn is_sleep(before: Duration, after: Duration) -> bool {
    after.saturating_sub(before) > Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_asleep_is_a_sleep() {
        let seconds = Duration::from_secs_f64;
        assert!(is_sleep(seconds(10.0), seconds(12.0)));
        assert!(!is_sleep(seconds(10.0), seconds(10.9)));
        assert!(!is_sleep(seconds(10.0), seconds(10.0)));
        assert!(!is_sleep(seconds(10.0), seconds(9.0)));
    }

    #[test]
    fn while_the_machine_is_awake_no_time_asleep_is_counted() {
        let before = time_asleep();
        let end = std::time::Instant::now() + Duration::from_millis(5);
        while std::time::Instant::now() < end {
            assert!(!is_sleep(before, time_asleep()));
        }
    }

    #[test]
    fn the_timer_can_be_armed_and_armed_again_and_does_not_run_out() {
        let alarm = alarm().unwrap();
        arm(&alarm).unwrap();
        assert_eq!(rustix::io::read(&alarm, &mut [0; 8]), Err(Errno::AGAIN));
    }

    #[tokio::test]
    async fn the_listener_ends_with_the_inbox() {
        let (inbox, events) = tokio::sync::mpsc::unbounded_channel();
        let listener = tokio::spawn(listen(register(alarm().unwrap()).unwrap(), inbox));
        drop(events);
        listener.await.unwrap();
    }
}
