//! Our own files in the formats of real projects: a bookshop of many shapes.

use std::path::Path;
use std::sync::Arc;

use pilotlight::domain::catalog::{Resolution, Role, SourceFile, includes_of, root_of, services_of};
use pilotlight::domain::{Check, Condition, Kind, RestartWhen, Severity};

use super::sources::{ROOT, drop_in, environment, errors, main_file, problems, resolved, service, source, spawn};

pub fn bookshop() -> Vec<Arc<SourceFile>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/project");
    let files = [
        (Role::Main, "services.json"),
        (Role::DropIn, "services.d/_shared.json"),
        (Role::DropIn, "services.d/orders-api.json"),
        (Role::DropIn, "services.d/reindex.json"),
        (Role::DropIn, "services.d/several.json"),
        (Role::Include, "apps/shop/other.package.json"),
        (Role::Include, "apps/shop/package.json"),
    ];
    files.map(|(role, path)| source(role, path, &std::fs::read_to_string(folder.join(path)).unwrap())).into()
}

fn argv(resolution: &Resolution, id: &str) -> String {
    spawn(resolution, id).argv.join(" ")
}

#[test]
fn every_shape_of_a_source_gives_its_services_in_order() {
    let resolution = resolved(&bookshop());
    assert_eq!(errors(&resolution), [""; 0]);
    assert_eq!(problems(&resolution, Severity::Warning), [""; 0]);
    let ids: Vec<_> = resolution.catalog.services.ids().map(|id| id.as_str()).collect();
    assert_eq!(
        ids,
        ["catalogue-api", "shop", "stores", "mailer", "_shared", "orders-api", "reindex", "ticker", "tunnel", "story"]
    );
    assert_eq!(
        problems(&resolution, Severity::Note),
        [
            "services.json:20:44: \"ORDERS_PORT\" is exported by \"orders-api\" as well, and that value counts",
            "services.json:24:7: unknown key \"openapi_types_path\"",
            "services.json:51:5: not run by this version: the life of a docker-compose service belongs to another engine",
            "services.d/orders-api.json:9:3: unknown key \"subdomain\"",
        ]
    );
}

#[test]
fn the_list_decides_on_the_type_and_the_type_on_the_command() {
    let resolution = resolved(&bookshop());
    for (id, command) in [
        (
            "catalogue-api",
            "/usr/bin/python3 -m uvicorn bookshop.catalogue.main:app --host 0.0.0.0 --port 18000 --reload",
        ),
        ("shop", "pnpm dev --port 15173"),
        ("mailer", "/usr/bin/python3 -m bookshop.mailer --queue mail"),
        (
            "orders-api",
            "/usr/bin/python3 -m uvicorn bookshop.orders.main:app --host 0.0.0.0 --port 18003 --workers 4 --quiet",
        ),
        ("reindex", "/usr/bin/python3 -m bookshop.reindex"),
        ("ticker", "ticker --every 1s"),
        ("story", "npm run story"),
    ] {
        assert_eq!(argv(&resolution, id), command);
    }
    for (id, kind) in [("stores", Kind::Detached), ("_shared", Kind::Settings), ("tunnel", Kind::External)] {
        assert_eq!(service(&resolution, id).kind, kind, "{id}");
    }
    assert_eq!(service(&resolution, "catalogue-api").type_name, "python-web");
    assert_eq!(service(&resolution, "story").type_name, "frontend");
}

#[test]
fn a_service_of_a_package_runs_in_its_folder_unless_it_names_another() {
    let resolution = resolved(&bookshop());
    assert_eq!(spawn(&resolution, "story").cwd, Path::new(ROOT).join("apps/shop"));
    assert_eq!(spawn(&resolution, "shop").cwd, Path::new(ROOT).join("apps/shop"));
    assert_eq!(spawn(&resolution, "mailer").cwd, Path::new(ROOT));
}

#[test]
fn settings_go_out_by_the_ways_that_they_name() {
    let resolution = resolved(&bookshop());
    let orders = environment(&resolution, "orders-api");
    for (name, value) in [
        ("PORT", "18003"),
        ("ORDERS_PORT", "18003"),
        ("ORDERS_BASE_URL", "http://localhost:18003"),
        ("ORDERS_TRACE", "0"),
        ("ORDERS_ORIGINS", "a;b"),
        ("ORDERS_RATIO", "2"),
        ("BOOKSHOP_DEBUG", "1"),
    ] {
        assert_eq!(orders.get(name).map(String::as_str), Some(value), "{name}");
    }
    let shop = environment(&resolution, "shop");
    for (name, value) in [
        ("VITE_API_URL", "http://localhost:18000"),
        ("VITE_SHOP_PORT", "15173"),
        ("VITE_ORDERS_URL", "http://localhost:18003/v1"),
        ("ORDERS_RATIO", "2"),
        ("BOOKSHOP_SECRET", "not-a-secret"),
    ] {
        assert_eq!(shop.get(name).map(String::as_str), Some(value), "{name}");
    }
    for name in ["ORDERS_TRACE", "ORDERS_ORIGINS", "ORDERS_NOTE"] {
        assert_eq!(shop.get(name), None, "{name}");
    }
}

#[test]
fn what_is_not_written_has_its_default() {
    let resolution = resolved(&bookshop());
    let reindex = service(&resolution, "reindex");
    assert_eq!(reindex.restart.when, RestartWhen::Never);
    assert_eq!(reindex.depends_on[0].condition, Condition::Healthy);
    assert!(reindex.enabled && !reindex.auto_start && reindex.notify.enabled && reindex.probes.is_empty());
    assert_eq!(reindex.display.name, "reindex");
    let ticker = service(&resolution, "ticker");
    assert_eq!(ticker.probes[0].check, Check::Tcp { host: "localhost".into(), port: 19000 });
    assert_eq!(ticker.probes[0].interval.as_secs(), 5);
    let tunnel = service(&resolution, "tunnel");
    assert_eq!(tunnel.probes[0].check, Check::Tcp { host: "localhost".into(), port: 19001 });
}

#[test]
fn headings_come_in_the_order_of_their_keys_and_a_services_own_wins() {
    let resolution = resolved(&bookshop());
    let headings: Vec<_> = resolution.catalog.groups.iter().map(|group| (&*group.key, &*group.name)).collect();
    assert_eq!(headings, [("core", "Core"), ("shop", "Shop front")]);
    for (id, group) in [("stores", Some("core")), ("orders-api", Some("shop")), ("ticker", None)] {
        assert_eq!(service(&resolution, id).display.group.as_deref(), group, "{id}");
    }
    let named = drop_in("x.json", r#"{"id": "x", "command": "x", "group": "Tools"}"#);
    let resolution = resolved(&[main_file(r#"{"service_groups": {"a": {"name": "A"}}}"#), named]);
    let headings: Vec<_> = resolution.catalog.groups.iter().map(|group| &*group.key).collect();
    assert_eq!(headings, ["a", "Tools"]);
}

#[test]
fn the_root_is_what_is_said_most_strongly() {
    let files = bookshop();
    let folder = Path::new("/home/u/shop/launcher");
    assert_eq!(root_of(&files, folder, None).unwrap(), Path::new("/home/u/shop/launcher/.."));
    assert_eq!(root_of(&files, folder, Some(Path::new("/else"))).unwrap(), Path::new("/else"));
    assert_eq!(root_of(&files[1..], folder, None).unwrap(), folder);
    let mut broken = files;
    Arc::make_mut(&mut broken[0]).content = pilotlight::domain::catalog::Content::Empty;
    assert_eq!(root_of(&broken, folder, None), None, "what was the root goes on to be it");
}

#[test]
fn a_source_tells_its_ids_and_its_includes_without_the_others() {
    let ids = |file: &SourceFile| services_of(file).iter().map(|id| id.to_string()).collect::<Vec<_>>();
    let files = bookshop();
    assert_eq!(ids(&files[0]), ["catalogue-api", "shop", "stores", "mailer"]);
    assert_eq!(ids(&files[3]), ["reindex"]);
    assert_eq!(ids(&files[5]), [""; 0]);
    let main = main_file(r#"{"include": ["apps/*/package.json"], "services": {"a": {"command": "a"}, "b": null}}"#);
    assert_eq!(ids(&main), ["a"]);
    let include = includes_of(&main).remove(0);
    assert_eq!((&*include.text, include.place.column), ("apps/*/package.json", 14));
    assert_eq!(problems(&resolved(&[main]), Severity::Note), [""; 0]);
}
