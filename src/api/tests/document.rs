//! The OpenAPI document says what the router does, no more and no less.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::World;
use crate::api::OPENAPI;
use crate::api::router::routes;
use crate::domain::sample::{NOW, acted, basis, define, exited, foreign, healthy, snapshot, started, waiting, wanted};
use crate::domain::{self, Accepted, Exit, Light, Place, ProcessState, Refusal, ServiceView, Snapshot};

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Follows `$ref`, and for "this or null" takes what is not null.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str() {
        let target = document.pointer(name.strip_prefix('#').unwrap());
        return resolved(document, target.unwrap_or_else(|| panic!("{name} leads nowhere")));
    }
    schema.get("oneOf").map_or(schema, |choices| resolved(document, &choices[0]))
}

/// Compares the keys of `value` with the properties of `schema`, at any depth.
fn differences(document: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let schema = resolved(document, schema);
    match value {
        Value::Object(value) => {
            if let Some(any) = schema.get("additionalProperties") {
                value
                    .iter()
                    .for_each(|(key, value)| differences(document, any, value, &format!("{path}.{key}"), found));
                return;
            }
            // What may be anything is described in words alone.
            if schema.get("type").is_none() && schema.get("description").is_some() {
                return;
            }
            let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{path} is an object"));
            let documented: BTreeSet<&String> = properties.keys().collect();
            let present: BTreeSet<&String> = value.keys().collect();
            found.extend(documented.symmetric_difference(&present).map(|key| format!("{path}.{key}")));
            let common = value.iter().filter_map(|(key, value)| Some((key, properties.get(key)?, value)));
            common.for_each(|(key, schema, value)| {
                differences(document, schema, value, &format!("{path}.{key}"), found);
            });
        }
        Value::Array(values) => {
            values.iter().for_each(|value| differences(document, &schema["items"], value, path, found));
        }
        Value::String(word) => {
            let words = schema["enum"].as_array();
            if words.is_some_and(|words| !words.contains(&json!(word))) {
                found.push(format!("{path} is {word}"));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn picture() -> Snapshot {
    let failed = exited(wanted("db", ProcessState::Failed, Light::Red, "exited with code 1"), Exit::Code(1));
    let db = ServiceView { next_try: Some(NOW), first_cause: Some("exited".to_owned()), ..failed };
    let place = Place { file: "services.json".into(), line: 3, column: 9 };
    let group = domain::Group { key: "backend".to_owned(), name: "Backend".to_owned(), icon: None };
    Snapshot {
        problems: [domain::Problem::error(&place, "unknown type")].into(),
        basis: basis("shop"),
        groups: [group].into(),
        waiting: Some(Arc::new(domain::Waiting {
            services: vec![crate::domain::sample::id("web")],
            frame: true,
            text: "removed web".to_owned(),
        })),
        ..snapshot(
            vec![
                define(healthy("api", 7), |service| service.talks_to = vec!["db".to_owned()]),
                waiting("web", "db", "failed"),
                db,
                acted(foreign("shop"), "seed"),
            ]
            .into_iter()
            .chain(started())
            .collect(),
        )
    }
}

fn forecast() -> domain::Forecast {
    let place = Place { file: "services.json".into(), line: 3, column: 9 };
    let planned = |id: &str, does| domain::Planned {
        id: crate::domain::sample::id(id),
        does,
        fields: vec!["command".to_owned()],
        text: "restarts: argv".to_owned(),
    };
    domain::Forecast {
        services: domain::Does::ALL.map(|does| planned(does.as_str(), does)).to_vec(),
        problems: [domain::Problem::error(&place, "unknown type")].into(),
        frame: true,
    }
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_path_is_a_route() {
    let document = document();
    let routed: BTreeSet<(String, String)> =
        routes().iter().map(|route| (route.path.to_owned(), route.method.to_owned())).collect();
    let paths = document["paths"].as_object().unwrap().iter();
    let documented: BTreeSet<(String, String)> = paths
        .flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(|method| (path.clone(), method.clone()))
        })
        .collect();
    assert_eq!(routed, documented);
}

#[tokio::test]
async fn every_documented_path_answers_with_what_is_documented() {
    let document = document();
    let mut world = World::new(picture());
    world.journal.add("healthy", "api", 10);
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let schema = &operation["responses"]["200"]["content"];
            let request = path.replace("{id}", "shop");
            let (status, body) = if method == "get" {
                let response = world.client.get(super::url(&request)).send().await.unwrap();
                let status = response.status().as_u16();
                let text = response.text().await.unwrap();
                (status, serde_json::from_str(text.lines().next().filter(|_| path.contains("events")).unwrap_or(&text)))
            } else {
                let body = match path.as_str() {
                    "/v1/reload" | "/v1/shutdown" | "/v1/plan" => "{}",
                    "/v1/run-action" => r#"{"id": "api", "name": "seed"}"#,
                    "/v1/adopt" | "/v1/stop-foreign" => r#"{"id": "api", "stranger": "42-7"}"#,
                    _ => r#"{"ids": ["api"]}"#,
                };
                let answer = world.post(path, body);
                if path != "/v1/wait" {
                    let accepted = super::accepted(&[("api", domain::Goal::Healthy)]);
                    let forecast = (path == "/v1/plan").then(forecast);
                    world.answer(accepted.map(|accepted| Accepted { forecast, ..accepted })).await;
                }
                let (status, body) = answer.await.unwrap();
                (status, Ok(body))
            };
            assert_eq!(status, 200, "{method} {path}");
            if path != "/openapi.json" {
                let kind = if path.contains("events") { "application/x-ndjson" } else { "application/json" };
                differences(&document, &schema[kind]["schema"], &body.unwrap(), path, &mut found);
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn every_failure_has_the_documented_shape() {
    let document = document();
    let schema = &document["components"]["schemas"]["Failure"];
    let mut world = World::new(picture());
    let mut answers = vec![world.get("/v1/nothing").await, world.get("/v1/start").await];
    assert_eq!((answers[0].0, &answers[0].1["kind"]), (404, &json!("no_such_path")));
    assert_eq!((answers[1].0, &answers[1].1["kind"]), (405, &json!("no_such_method")));
    let unknown = world.post("/v1/restart", r#"{"ids": ["nobody"]}"#);
    world.answer(Ok(Accepted::default())).await;
    answers.push(unknown.await.unwrap());
    answers.push(world.post("/v1/start", "{}").await.unwrap());
    answers.push(world.post("/v1/wait", r#"{"ids": ["db"]}"#).await.unwrap());
    let refused = world.post("/v1/reload", "");
    world.answer(Err(Refusal::Impossible("no".to_owned()))).await;
    answers.push(refused.await.unwrap());
    let mut found = Vec::new();
    for (status, body) in &answers {
        assert!((400..500).contains(status), "{status}");
        differences(&document, schema, body, "failure", &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}
