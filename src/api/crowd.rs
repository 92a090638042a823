//! Who is connected, and who has to go when there is no room left. Speaks to nobody.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::line::Conduct;

/// How many clients are served at a time.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// How long every client has to ask something, however many others there are.
const HEARING: Duration = Duration::from_millis(100);

/// Who has not taken what is there for him for so long has to make room, if there is no other way.
const DEAF: Duration = Duration::from_secs(1);

/// All clients, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Crowd(VecDeque<Client>);

#[derive(Debug)]
struct Client {
    task: AbortHandle,
    conduct: Conduct,
    since: Instant,
}

impl Crowd {
    /// How many there are, as of when the last room was made.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One more, which is served by `task`.
    pub fn add(&mut self, task: AbortHandle, conduct: Conduct) {
        self.0.push_back(Client { task, conduct, since: Instant::now() });
    }

    /// Makes room for one more: if there is none, the connection is closed that has been there for the longest without
    /// asking anything, as soon as it has had its time for that; if all have asked something, the one that has not read
    /// its answer for the longest. `false` if all read as well.
    pub async fn make_room(&mut self) -> bool {
        let mut all_had_a_turn = false;
        loop {
            self.0.retain(|client| !client.task.is_finished());
            if self.0.len() < MAX_CONNECTIONS {
                return true;
            }
            let silent = self.0.iter().enumerate().find(|(_, client)| !client.conduct.has_asked());
            let Some((at, client)) = silent else {
                if all_had_a_turn {
                    return self.send_away_who_is_deaf();
                }
                // Some may have gone already, which is only noticed when it is their turn.
                tokio::task::yield_now().await;
                all_had_a_turn = true;
                continue;
            };
            let left = HEARING.saturating_sub(client.since.elapsed());
            if left.is_zero() {
                client.task.abort();
                self.0.remove(at);
                return true;
            }
            tokio::time::sleep(left).await;
        }
    }

    fn send_away_who_is_deaf(&mut self) -> bool {
        let stuck = self.0.iter().enumerate().filter_map(|(at, client)| Some((client.conduct.stuck_for()?, at)));
        let Some((_, at)) = stuck.filter(|(stuck, _)| *stuck >= DEAF).max() else { return false };
        if let Some(client) = self.0.remove(at) {
            tracing::debug!("a client has to make room that does not read its answer");
            client.task.abort();
        }
        true
    }
}
