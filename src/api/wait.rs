//! Waiting until aims are reached: one look at each new snapshot, and nothing in between.

use std::time::Duration;

use crate::domain::aim::{Verdict, judge, patience};
use crate::domain::{Aim, ProcessState, Snapshot};
use crate::engine::Handle;
use crate::wire::{Done, Failure, FailureKind, Goal, Reached};

/// Waits until no aim is pending, at most for `timeout` (by default as long as the services themselves may take).
///
/// Dropping the future ends the waiting.
///
/// # Errors
/// If an aim was not reached, with the reason of each.
pub async fn until_settled(
    engine: &Handle,
    aims: &[Aim],
    timeout: Option<Duration>,
    remarks: Vec<String>,
) -> Result<Done, Failure> {
    let timeout = timeout.unwrap_or_else(|| patience(aims, &engine.snapshot()));
    let mut snapshots = engine.snapshots();
    let mut latest = judge_all(aims, &snapshots.borrow_and_update());
    let ended = tokio::time::timeout(timeout, async {
        while latest.iter().any(|verdict| matches!(verdict, Verdict::Pending(_))) {
            if snapshots.changed().await.is_err() {
                return End::Gone;
            }
            latest = judge_all(aims, &snapshots.borrow_and_update());
        }
        End::Settled
    });
    let end = ended.await.unwrap_or(End::TimedOut);
    let remarks = remarks.into_iter().chain(strangers(aims, &latest, &engine.snapshot())).collect();
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

/// Which of the aims somebody else has reached in place of the service.
fn strangers(aims: &[Aim], verdicts: &[Verdict], snapshot: &Snapshot) -> Vec<String> {
    let reached = aims.iter().zip(verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Reached));
    let views = reached.filter_map(|(aim, _)| snapshot.services.iter().find(|view| view.id == aim.id));
    let foreign = views.filter(|view| view.process == ProcessState::Foreign);
    foreign.map(|view| format!("{} is not the agent's own: {}", view.id, view.reason)).collect()
}

fn reached(aim: &Aim, verdict: Verdict, end: End, timeout: Duration) -> Reached {
    let reason = match (verdict, end) {
        (Verdict::Reached, _) => None,
        (Verdict::Hopeless(reason), _) => Some(reason),
        (Verdict::Pending(_), End::Gone) => Some("the agent has ended".to_owned()),
        (Verdict::Pending(reason), End::Settled | End::TimedOut) => {
            Some(format!("after {} s still {reason}", timeout.as_secs_f64()))
        }
    };
    Reached { id: aim.id.to_string(), goal: Goal::from(aim.goal), reached: reason.is_none(), reason }
}
