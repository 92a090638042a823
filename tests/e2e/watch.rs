//! Services that restart when their files change.

use serde_json::json;

use crate::desk::Desk;

#[test]
fn a_service_restarts_when_a_file_that_it_watches_is_saved_and_only_then() {
    let mut desk = Desk::new();
    desk.save("src/app/main.sh", "exec sleep 1000\n");
    let service = json!({"command": ["sh", "src/app/main.sh"], "auto_start": true, "watch": ["src/**/*.sh", "*.toml"]});
    desk.save("services.d/web.json", &service.to_string());
    desk.save("services.d/other.json", r#"{"command": ["sleep", "1000"], "auto_start": true}"#);
    desk.start_agent();
    desk.until_light("green");
    let (first, other) = (desk.pid("web"), desk.pid("other"));
    desk.save("src/app/notes.txt", "x");
    desk.save("src/node_modules/pkg/x.sh", "x");
    desk.save("src/app/main.sh", "exec sleep 2000\n");
    desk.until("a new run", || desk.pid("web").is_some_and(|pid| Some(pid) != first));
    let second = desk.pid("web");
    desk.save("src/new/deep/er.sh", "exec true\n");
    desk.until("a run for a file in a new folder", || desk.pid("web").is_some_and(|pid| Some(pid) != second));
    assert_eq!(desk.pid("other"), other);
    let told = desk.ok(&["events"]);
    assert!(told.contains("restarts: src/app/main.sh changed") && told.contains("restarts: src/new/deep"), "{told}");
    assert!(!told.contains("notes.txt") && !told.contains("node_modules"), "{told}");
    desk.ok(&["stop", "web"]);
    desk.save("src/app/main.sh", "exec sleep 3000\n");
    desk.ok(&["start", "web"]);
    assert_eq!(desk.service("web")["restarts"], 0);
}
