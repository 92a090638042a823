//! Waiting until aims are reached: one look at each new snapshot, and nothing in between.

use std::time::Duration;

use crate::domain::aim::{Verdict, judge, patience, reservation};
use crate::domain::{Aim, Snapshot};
use crate::engine::Handle;
use crate::wire::{Done, Failure, FailureKind, Goal, Reached};

/// Whose wish is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wisher {
    /// Whoever waits has wished it: if it is not wanted any more, there is nothing left to wait for.
    Oneself,
    /// Somebody may still come and wish it.
    Anyone,
}

/// Waits until no aim is pending, at most for `timeout` (by default as long as the services themselves may take).
/// What is not wanted is pending if [`Wisher::Anyone`] may wish it.
///
/// Dropping the future ends the waiting.
///
/// # Errors
/// If an aim was not reached, with the reason of each.
pub async fn until_settled(
    engine: &Handle,
    aims: &[Aim],
    timeout: Option<Duration>,
    wisher: Wisher,
    remarks: Vec<String>,
) -> Result<Done, Failure> {
    let timeout = timeout.unwrap_or_else(|| patience(aims, &engine.snapshot()));
    let mut snapshots = engine.snapshots();
    let mut settled = None;
    let ended = tokio::time::timeout(timeout, async {
        let is_open = |aim: &Aim, snapshot: &Snapshot| match judge(aim, snapshot) {
            Verdict::Pending(_) => true,
            Verdict::Unwanted(_) => wisher == Wisher::Anyone,
            Verdict::Reached | Verdict::Hopeless(_) => false,
        };
        // Of many aims one that was open mostly still is: the others are judged only once it is not.
        let mut open = 0;
        loop {
            {
                let snapshot = snapshots.borrow_and_update();
                match (open..aims.len()).chain(0..open).find(|index| is_open(&aims[*index], &snapshot)) {
                    Some(index) => open = index,
                    None => {
                        settled = Some(judge_all(aims, &snapshot));
                        return End::Settled;
                    }
                }
            }
            if snapshots.changed().await.is_err() {
                return End::Gone;
            }
        }
    });
    let end = ended.await.unwrap_or(End::TimedOut);
    let latest = settled.unwrap_or_else(|| judge_all(aims, &engine.snapshot()));
    let remarks = remarks.into_iter().chain(reservations(aims, &latest, &engine.snapshot())).collect();
    let services: Vec<Reached> =
        aims.iter().zip(latest).map(|(aim, verdict)| reached(aim, verdict, end, timeout)).collect();
    let missed = services.iter().filter(|service| !service.reached).count();
    if missed == 0 {
        return Ok(Done { services, remarks });
    }
    let error = match missed {
        1 => "1 service did not get there".to_owned(),
        _ => format!("{missed} services did not get there"),
    };
    Err(Failure { services: Some(services), remarks, ..Failure::new(FailureKind::NotReached, error) })
}

/// Why waiting came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Settled,
    TimedOut,
    /// The engine has ended.
    Gone,
}

fn judge_all(aims: &[Aim], snapshot: &Snapshot) -> Vec<Verdict> {
    aims.iter().map(|aim| judge(aim, snapshot)).collect()
}

/// What is to be said of the aims that are reached.
fn reservations(aims: &[Aim], verdicts: &[Verdict], snapshot: &Snapshot) -> Vec<String> {
    let reached = aims.iter().zip(verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Reached));
    reached.filter_map(|(aim, _)| reservation(aim, snapshot)).collect()
}

fn reached(aim: &Aim, verdict: Verdict, end: End, timeout: Duration) -> Reached {
    let reason = match (verdict, end) {
        (Verdict::Reached, _) => None,
        (Verdict::Hopeless(reason), _) | (Verdict::Unwanted(reason), End::Settled) => Some(reason),
        (Verdict::Pending(_) | Verdict::Unwanted(_), End::Gone) => Some("the agent has ended".to_owned()),
        (Verdict::Pending(reason), End::Settled | End::TimedOut) | (Verdict::Unwanted(reason), End::TimedOut) => {
            Some(format!("after {} s still {reason}", timeout.as_secs_f64()))
        }
    };
    Reached { id: aim.id.to_string(), goal: Goal::from(aim.goal), reached: reason.is_none(), reason }
}
