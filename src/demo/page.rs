//! The two pages that people see: the service itself with a button for each way to misbehave, and its documentation.

use super::options::{MapShape, Part};

/// The page at `/`.
pub fn front(part: &Part) -> String {
    let name = escaped(&part.name);
    let button =
        |path: &str, text: &str| format!("<form method=\"post\" action=\"{path}\"><button>{text}</button></form>");
    let buttons: String = [
        ("/demo/fail", "fail"),
        ("/demo/hang", "hang"),
        ("/demo/slow", "slow down"),
        ("/demo/degrade", "degrade"),
        ("/demo/crash", "crash"),
        ("/demo/recover", "recover"),
    ]
    .into_iter()
    .map(|(path, text)| button(path, text))
    .collect();
    let links: String = ["/health", "/docs", "/dev/info", "/dev/architecture/map"]
        .into_iter()
        .map(|path| format!("<li><a href=\"{path}\">{path}</a></li>"))
        .collect();
    document(
        &name,
        &format!(
            "<p>This is a stand-in, played by <code>pilotlight demo-service</code>. \
             Tell it to misbehave, and watch the light.</p>{buttons}<ul>{links}</ul>"
        ),
    )
}

/// The page at `/docs`, with the `routes` that are served.
pub fn docs(part: &Part, routes: &[(&str, &str, &str)]) -> String {
    let rows: String = routes
        .iter()
        .map(|(method, path, name)| format!("<tr><td>{method}</td><td><code>{path}</code></td><td>{name}</td></tr>"))
        .collect();
    let shape = match part.map {
        MapShape::Lists => "lists of objects",
        MapShape::Maps => "a map of services",
    };
    document(
        &escaped(&part.name),
        &format!("<table>{rows}</table><p>The architecture map has the form of {shape}.</p>"),
    )
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:16px/1.5 sans-serif;margin:3rem auto;max-width:40rem}}form{{display:inline}}\
         button{{margin-right:.5rem}}td{{padding-right:1rem}}</style></head>\
         <body><h1>{title}</h1>{body}</body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_and_never_markup() {
        assert_eq!(escaped("<b>&\"x\""), "&lt;b&gt;&amp;&quot;x&quot;");
    }
}
