//! What differs is named by the keys as users write them.

use pilotlight::domain::diff::ServiceDiff;

use super::sources::{main_file, resolved, service};

/// The keys that differ between two services `a`: what restarts it, and what does not.
fn differ(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let [before, after] = [before, after].map(|keys| {
        let types = r#"{"go": {"command": ["go", "run", "{module}", "-p={port}"]}}"#;
        let text = format!(r#"{{"types": {types}, "services": {{"a": {{{keys}}}}}}}"#);
        service(&resolved(&[main_file(&text)]), "a").clone()
    });
    let ServiceDiff { live, restart } = ServiceDiff::between(&before, &after);
    (restart, live)
}

#[test]
fn what_differs_is_named_by_its_key() {
    for (before, after, restart, live) in [
        (r#""command": ["x", "1"]"#, r#""command": ["x", "2"]"#, "command", ""),
        (r#""command": "x", "args": ["1"]"#, r#""command": "x", "args": ["2"]"#, "args", ""),
        (r#""command": "x", "args": ["1"]"#, r#""command": "x""#, "args", ""),
        (r#""command": "x", "args": ["1"]"#, r#""command": "y", "args": ["2"]"#, "command args", ""),
        (r#""command": ["x", "1"]"#, r#""command": "x", "args": ["1"]"#, "", ""),
        (r#""command": "x y", "shell": true"#, r#""command": "x y""#, "shell", ""),
        (r#""type": "go", "module": "m""#, r#""type": "go", "module": "n""#, "module", ""),
        (
            r#""type": "go", "module": "m""#,
            r#""type": "go", "module": "m", "default_port": 80"#,
            "port env.PORT",
            "base_url health",
        ),
        (
            r#""type": "go", "module": "m""#,
            r#""type": "python", "module": "m""#,
            "command env.PYTHONIOENCODING env.PYTHONPATH env.PYTHONUNBUFFERED env.PYTHONUTF8",
            "type",
        ),
        (r#""command": "x""#, r#""type": "external", "default_port": 80"#, "port type", "base_url health"),
        (r#""command": "x""#, r#""command": "x", "directory": "d""#, "directory", ""),
        (r#""command": "x""#, r#""command": "x", "name": "X""#, "", "name"),
        (
            r#""command": "x""#,
            r#""command": "x", "description": "d", "icon": "i", "tags": ["t"], "provides": ["p"], "category": "g""#,
            "",
            "description icon tags provides group",
        ),
    ] {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(differ(before, after), (words(restart), words(live)), "{before} and {after}");
    }
    let settings = |value: u8| {
        format!(r#""command": "x", "settings": [{{"key": "k", "arg_map": "-k"}}], "values": {{"k": "{value}"}}"#)
    };
    assert_eq!(differ(&settings(1), &settings(2)), (vec!["values".to_owned()], vec![]));
}
