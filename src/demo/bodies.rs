//! The JSON that the stand-in answers with; made up, but of the same form as a real service's.

use serde_json::{Map, Value, json};

use super::options::{Kind, MapShape, Part};

/// What `/health` says: `error` is why it is not well, `needs` is what came of asking what it needs.
pub fn health(part: &Part, status: &str, error: Option<&str>, needs: &[(String, Option<String>)]) -> Value {
    let mut body = Map::new();
    body.insert("status".into(), status.into());
    body.insert("service".into(), part.name.as_str().into());
    body.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    for (name, trouble) in needs {
        let text = trouble.as_ref().map_or_else(|| "connected".to_owned(), |trouble| format!("error: {trouble}"));
        body.insert(name.clone(), text.into());
    }
    if let Some(error) = error {
        body.insert("error".into(), error.into());
    }
    Value::Object(body)
}

/// What `/dev/info` says of a service that listens on `port`.
pub fn info(part: &Part, port: u16) -> Value {
    let needs: Vec<_> = part.needs.iter().map(|need| need.name.as_str()).collect();
    json!({
        "service_id": part.name,
        "name": part.name,
        "version": env!("CARGO_PKG_VERSION"),
        "type": trade(part.kind()),
        "port": port,
        "endpoints": {"health": "/health", "docs": "/docs", "architecture": "/dev/architecture/map", "info": "/dev/info"},
        "provides": part.provides,
        "dependencies": needs,
        "tags": ["demo", trade(part.kind())],
        "environment": {"debug": true, "host": "localhost", "port": port},
        "architecture": {"pattern": "stand-in", "layers": ["routes", "mood"], "features": part.provides}
    })
}

/// What `/dev/architecture/map` says, with the `routes` that are served.
pub fn map(part: &Part, routes: &[(&str, &str, &str)]) -> Value {
    match part.map {
        MapShape::Lists => lists(part, routes),
        MapShape::Maps => maps(part, routes),
    }
}

fn lists(part: &Part, routes: &[(&str, &str, &str)]) -> Value {
    let capabilities: Vec<_> = part
        .provides
        .iter()
        .map(|name| {
            json!({
                "name": format!("{name}API"),
                "file": format!("{name}.rs"),
                "category": "read",
                "description": format!("Reads {name}"),
                "methods": [format!("get_{name}"), format!("list_{name}")],
                "permission": format!("{name}:read"),
                "exists": true,
                "path": format!("src/capabilities/{name}.rs")
            })
        })
        .collect();
    let services: Vec<_> = part
        .provides
        .iter()
        .map(|name| json!({"name": format!("{name}_service"), "path": format!("services/{name}/"), "sub_services": []}))
        .collect();
    let permissions: Map<_, _> = part.provides.iter().map(|name| (format!("{name}:read"), json!(1))).collect();
    json!({
        "version": "1.0",
        "routes": described(routes),
        "capabilities": capabilities,
        "services": services,
        "plugins": [],
        "metrics": {
            "total_routes": routes.len(),
            "route_tags": {"demo": routes.len()},
            "total_services": services.len(),
            "total_sub_services": 0,
            "avg_sub_service_lines": 0,
            "total_plugins": 0,
            "unique_permissions": permissions.len(),
            "permission_usage": permissions,
            "modernized_plugins": 0
        }
    })
}

fn maps(part: &Part, routes: &[(&str, &str, &str)]) -> Value {
    let services: Map<_, _> = part
        .provides
        .iter()
        .map(|name| {
            let service = json!({
                "description": format!("Everything about {name}"),
                "sub_services": [format!("{name}_query_service"), format!("{name}_retry_service")],
                "location": format!("services/{name}/"),
                "lines": 400
            });
            (format!("{name}_service"), service)
        })
        .collect();
    json!({
        "version": "1.0",
        "service_id": part.name,
        "routes": described(routes),
        "services": services,
        "capabilities": part.provides,
        "metrics": {
            "total_routes": routes.len(),
            "total_services": services.len(),
            "total_sub_services": 2 * services.len(),
            "avg_sub_service_lines": 200
        }
    })
}

fn described(routes: &[(&str, &str, &str)]) -> Vec<Value> {
    let describe = |(method, path, name): &(&str, &str, &str)| json!({"path": path, "methods": [method], "name": name, "tags": ["demo"]});
    routes.iter().map(describe).collect()
}

fn trade(kind: Kind) -> &'static str {
    match kind {
        Kind::Api => "backend",
        Kind::Web => "frontend",
        Kind::Worker => "worker",
        Kind::Database => "database",
        Kind::Job => "job",
    }
}
