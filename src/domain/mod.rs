//! What is true and what follows from it: sources become a catalog, facts become orders.
//!
//! Pure: no file, network, process, thread, clock, randomness or log. Everything is handed in, everything is handed out.

pub mod aim;
pub mod catalog;
pub mod critical;
pub mod diff;
mod event;
mod fnv;
mod forecast;
mod id;
mod launch;
mod moment;
mod node;
mod notice;
pub mod pattern;
mod problem;
mod roll;
mod run;
#[cfg(test)]
pub mod sample;
pub mod secrets;
mod service;
mod snapshot;
mod supervisor;
pub mod text;

pub use event::{
    Accepted, ActionOrder, Aim, Answer, Command, Effect, Event, Goal, Intent, MeasureOrder, Occurrence, ProbeOrder,
    Refusal, Selection, Shutdown, SpawnOrder, TakeOrder,
};
pub use fnv::Fnv1a;
pub use forecast::{Does, Forecast, Planned, Proposal};
pub use id::{MAX_SERVICE_ID, Part, RunId, RunIds, ServiceId};
pub use launch::{Launch, Wait};
pub use moment::Moment;
pub use node::{Entry, Node, Value};
pub use notice::{Notice, NoticeKey, Urgency};
pub use problem::{Place, Problem, Severity};
pub use roll::{Listed, Roll};
pub use run::{EarlierRun, Exit, FoundEnd, FoundRun, Outcome, PortHolder, ProcessId, Spared};
pub use service::{
    Action, AgentSettings, Catalog, Check, Condition, Dependency, Display, FilePattern, Group, Kind, Limits, LogPolicy,
    NamedPort, NotifyPolicy, Probe, QuietHours, RestartPolicy, RestartWhen, Service, Signal, Spawn, Step, StopPolicy,
    StopTree,
};
pub use snapshot::{
    ActionState, Blocker, HealthState, LastAction, LastExit, Light, ProcessState, ServiceView, Snapshot, Waiting,
    WantedBy,
};
pub use supervisor::Supervisor;
