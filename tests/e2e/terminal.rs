//! An agent on a terminal that has been stopped: nobody reads what it prints, and it must go on all the same.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::desk::Desk;

/// Both ends of a new terminal: the user's, which is never read, and the program's.
pub fn terminal() -> (OwnedFd, File) {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&user).expect("it is ours");
    unlockpt(&user).expect("it is ours");
    let name = ptsname(&user, Vec::new()).expect("it has a name");
    let program = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it is ours");
    (user, File::from(program))
}

#[test]
fn an_agent_whose_terminal_is_not_read_goes_on_and_ends_when_asked() {
    let mut desk = Desk::new();
    let script = "i=0; while [ $i -lt 20000 ]; do echo a chatty service in line $i; i=$((i+1)); done; exec sleep 1000";
    let text = serde_json::json!({"type": "process", "command": ["sh", "-c", script]}).to_string();
    desk.save("services.d/chatty.json", &text);
    let (_user, program) = terminal();
    desk.start_agent_on(program);
    // More than any terminal's buffer holds: what the service says, and what is said of it.
    for _ in 0..100 {
        for wish in ["enable", "disable"] {
            desk.ok(&[wish, "chatty"]);
        }
    }
    desk.ok(&["start", "chatty"]);
    desk.signal_agent("TERM");
    assert_eq!(desk.wait_agent(), Some(0));
}
