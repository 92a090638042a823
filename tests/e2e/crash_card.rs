//! `why` after a crash: what it says, and what it suspects.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::desk::Desk;

/// Runs git in `folder`; false, and a word, where there is none.
fn git(folder: &Path, arguments: &[&str]) -> bool {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=A", "-c", "user.email=a@b"]).args(arguments).current_dir(folder);
    let Ok(output) = git.output() else {
        assert!(std::env::var_os("PILOTLIGHT_REQUIRE_ALL").is_none(), "git is missing");
        eprintln!("SKIPPED: there is no git");
        return false;
    };
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn a_crash_is_told_with_its_last_words_and_with_what_has_changed_since_all_was_well() {
    let mut desk = Desk::new();
    let project: PathBuf = desk.project("").components().collect();
    desk.save("app/serve", "sleep 1000\n");
    if !git(&project, &["init", "--quiet", "--initial-branch=main"]) {
        return;
    }
    git(&project, &["add", "app"]);
    git(&project, &["commit", "--quiet", "-m", "works"]);
    let needed = r#"{"command": ["sleep", "1000"], "auto_start": true}"#;
    let service = |level: &str| {
        format!(
            r#"{{"command": ["sh", "serve"], "cwd": "app", "auto_start": true, "depends_on": ["db"], "restart": "never",
            "env": {{"LEVEL": "{level}", "DB_PASSWORD": "correct horse"}}}}"#
        )
    };
    desk.save("services.d/db.json", needed);
    desk.save("services.d/web.json", &service("info"));
    desk.start_agent();
    desk.until_light("green");
    git(&project, &["checkout", "--quiet", "-b", "topic"]);
    desk.save("app/serve", "echo \"no such table: users (as app:$DB_PASSWORD)\"\nexit 3\n");
    git(&project, &["commit", "--quiet", "-a", "-m", "breaks"]);
    desk.ok(&["restart", "db"]);
    desk.save("services.d/web.json", &service("debug"));
    desk.until_service("web", "process", "failed");

    let told = desk.ok(&["why", "web"]);
    assert!(told.contains("exited with code 3") && told.contains("| no such table: users (as app:***)"), "{told}");
    assert!(told.contains(&format!("Checked out in {}: topic (", project.display())), "{told}");
    let why = desk.json(&["why", "web", "--json"]);
    let changed: Vec<&str> = why["changed"].as_array().unwrap().iter().map(|it| it["text"].as_str().unwrap()).collect();
    for change in ["git: commit: breaks", "its definition changed: env.LEVEL"] {
        assert_eq!(changed.iter().filter(|text| **text == change).count(), 1, "{change}: {changed:#?}");
    }
    assert!(changed.iter().any(|text| text.starts_with("db, which it needs: started as pid ")), "{changed:#?}");
    assert!(changed.iter().all(|text| told.contains(text)), "{told}");
}
