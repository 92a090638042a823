//! `adopt` and `stop --foreign`: shows the stranger on a service's port, and wishes nothing without a yes.

use std::io::Write;

use super::connection::Connection;
use super::{print, remarks, settled, with_ids};
use crate::cli::args::{Adopt, Stop};
use crate::cli::confirm::confirm;
use crate::cli::exit::{Exit, Unmet};
use crate::cli::offline::show;
use crate::domain::text::plain;
use crate::wire::{Done, Foreign, Service, Status, StrangerWish};

/// Takes the stranger on the port of a service as its run.
pub(super) async fn adopt(
    out: &mut dyn Write,
    err: &mut dyn Write,
    agent: &Connection,
    adopt: &Adopt,
) -> Result<Exit, Unmet> {
    let Adopt { id, yes, no_wait, timeout, output } = adopt;
    let stranger = shown(err, agent, id).await?;
    confirm(&format!("Take it as the run of {id}?"), *yes, err)?;
    let timeout = timeout.map(|span| span.as_secs_f64());
    let wish = StrangerWish { id: id.clone(), stranger, wait: !no_wait, timeout };
    let answer = agent.post("/v1/adopt", &wish, None).await?;
    settled(out, answer, *output)
}

/// Ends the stranger on the port of a service.
pub(super) async fn stop(
    out: &mut dyn Write,
    err: &mut dyn Write,
    agent: &Connection,
    stop: &Stop,
) -> Result<Exit, Unmet> {
    let targets = &stop.targets;
    let [id] = targets.ids.as_slice() else {
        return Err(Unmet::new(Exit::Usage, "--foreign takes one service"));
    };
    let stranger = shown(err, agent, id).await?;
    confirm("End it?", stop.yes, err)?;
    let wish = StrangerWish { id: id.clone(), stranger, wait: true, timeout: None };
    let answer = agent.post("/v1/stop-foreign", &wish, None).await?;
    let done: Done = answer.map_err(|failed| failed.unmet())?;
    print(out, targets.output, &done, |_| remarks(&done.remarks))
}

/// Shows who is on the port of `id`, and gives the name by which alone a wish can mean it.
async fn shown(err: &mut dyn Write, agent: &Connection, id: &str) -> Result<String, Unmet> {
    let status: Status = agent.get(&with_ids("/v1/status", &[id.to_owned()])?).await?;
    let service = status.services.first();
    let Some((service, stranger)) = service.and_then(|service| Some((service, service.foreign.as_ref()?))) else {
        return Err(Unmet::new(Exit::NotDone, format!("no stranger is on the port of {id}")));
    };
    match stranger {
        Foreign { service: Some(other), .. } => {
            let error = format!("port {} is taken by the service {other}, which is no stranger", stranger.port);
            Err(Unmet::new(Exit::NotDone, error).hint(format!("`pilotlight stop {other}` ends it")))
        }
        Foreign { identity: None, port, .. } => {
            let error = format!("it can't be told which process is on port {port}, so nothing can be done about it");
            Err(Unmet::new(Exit::NotDone, error).hint("it is another user's, perhaps: try `ss -ltnp` as root"))
        }
        Foreign { identity: Some(identity), .. } => {
            show(err, &told(service))?;
            Ok(identity.clone())
        }
    }
}

fn told(service: &Service) -> String {
    format!("{}: {}\n", plain(&service.id), plain(&service.reason))
}
