//! The real files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pilotlight::domain::catalog::{InUse, Role, SourceFile, resolve};
use pilotlight::domain::{Check, Kind, Severity};

use super::sources::{ROOT, environment, errors, problems, resolved, service, source, spawn, surroundings};

/// The folder of the real files, unless they are not here.
pub fn fixtures() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let folder = std::env::var_os("PILOTLIGHT_FIXTURES").map_or_else(beside, PathBuf::from).join("pixsim7");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("PILOTLIGHT_REQUIRE_ALL").is_err(), "no fixtures at {}", folder.display());
    eprintln!("SKIPPED: no real files at {}", folder.display());
    None
}

/// Every JSON file of `folder`, in the order of their names.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut texts: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    texts.sort();
    assert!(!texts.is_empty(), "{}", folder.display());
    texts
}

fn text(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn newest(fixtures: &Path) -> Arc<SourceFile> {
    source(Role::Main, "launcher/services.json", &text(fixtures.join("services/services.20260109.945c02698.json")))
}

/// All newest manifests as drop-ins and all newest packages as includes, as one project.
fn project(fixtures: &Path) -> Vec<Arc<SourceFile>> {
    let newest = |(name, _): &(String, String)| !name.contains(".2026");
    let manifests = texts(&fixtures.join("manifests")).into_iter().filter(newest);
    let mut files: Vec<_> =
        manifests.map(|(name, text)| source(Role::DropIn, &format!("services.d/{name}"), &text)).collect();
    let old_but_only_once = [
        "adb-keeper.20260415.4bfa870d5.json",
        "worker.20260310.b8fc34f57.json",
        "launcher-dev.20260327.cdfe13f54.json",
    ];
    files.extend(
        old_but_only_once.map(|name| {
            source(Role::DropIn, &format!("services.d/{name}"), &text(fixtures.join("manifests").join(name)))
        }),
    );
    let packages = texts(&fixtures.join("package-json")).into_iter().filter(newest);
    files.extend(packages.map(|(name, text)| {
        let folder = name.trim_end_matches(".package.json");
        source(Role::Include, &format!("apps/{folder}/package.json"), &text)
    }));
    files
}

#[test]
fn every_real_services_file_loads_without_an_error_and_gives_its_services() {
    let Some(fixtures) = fixtures() else { return };
    for (name, text) in texts(&fixtures.join("services")) {
        let resolution = resolved(&[source(Role::Main, "launcher/services.json", &text)]);
        assert_eq!(errors(&resolution), [""; 0], "{name}");
        assert_eq!(
            problems(&resolution, Severity::Warning).iter().filter(|it| !it.contains("nothing is known by")).count(),
            0
        );
        let ids: Vec<_> = resolution.catalog.services.ids().map(|id| id.as_str()).collect();
        for id in ["main-api", "db", "worker"] {
            assert!(ids.contains(&id), "{name}: {ids:?}");
        }
        assert!(!ids.contains(&"game-api"), "{name}: what is for the future is no service");
    }
}

#[test]
fn every_real_manifest_and_package_loads_alone_but_for_what_it_needs() {
    let Some(fixtures) = fixtures() else { return };
    for (folder, role) in [("manifests", Role::DropIn), ("package-json", Role::Include)] {
        for (name, text) in texts(&fixtures.join(folder)) {
            let stand_ins = source(
                Role::Main,
                "services.json",
                r#"{"services": [{"id": "db", "type": "external", "default_port": 1}, {"id": "main-api", "command": "x"}]}"#,
            );
            let own: serde_json::Value = serde_json::from_str(&text).unwrap();
            let own = own.pointer("/pixsim/service").unwrap_or(&own)["id"].as_str().unwrap().to_owned();
            let mut files = vec![source(role, &format!("services.d/{name}"), &text)];
            if own != "db" && own != "main-api" {
                files.push(stand_ins);
            } else if own == "main-api" {
                files.push(source(Role::Main, "services.json", r#"{"services": {"db": {"command": "x"}}}"#));
            }
            let resolution = resolved(&files);
            assert_eq!(errors(&resolution), [""; 0], "{name}");
            service(&resolution, &own);
        }
    }
}

#[test]
fn all_newest_manifests_and_packages_make_one_project() {
    let Some(fixtures) = fixtures() else { return };
    let resolution = resolved(&project(&fixtures));
    assert_eq!(errors(&resolution), [""; 0]);
    assert_eq!(problems(&resolution, Severity::Warning), [""; 0]);
    assert!(resolution.catalog.services.len() >= 16, "{:?}", resolution.catalog.services.ids().collect::<Vec<_>>());
    assert_eq!(service(&resolution, "_platform").kind, Kind::Settings);
    assert_eq!(service(&resolution, "db").kind, Kind::Detached);
    assert!(!service(&resolution, "devtools").enabled);
}

/// One row of the table of what each kind of service becomes.
struct Row {
    id: &'static str,
    argv: &'static str,
    cwd: &'static str,
    env: &'static [(&'static str, &'static str)],
    absent: &'static [&'static str],
}

fn check(resolution: &pilotlight::domain::catalog::Resolution, rows: &[Row]) {
    for row in rows {
        let spawn = spawn(resolution, row.id);
        assert_eq!(spawn.argv.join(" "), row.argv, "{}", row.id);
        assert_eq!(spawn.cwd, Path::new(ROOT).join(row.cwd), "{}", row.id);
        let environment = environment(resolution, row.id);
        for (name, value) in row.env {
            assert_eq!(environment.get(*name).map(String::as_str), Some(*value), "{} {name}", row.id);
        }
        for name in row.absent {
            assert_eq!(environment.get(*name), None, "{} {name}", row.id);
        }
    }
}

const PYTHON: [(&str, &str); 4] =
    [("PYTHONPATH", ROOT), ("PYTHONUTF8", "1"), ("PYTHONIOENCODING", "utf-8"), ("PYTHONUNBUFFERED", "1")];

#[test]
fn each_service_of_the_newest_services_file_becomes_what_it_was() {
    let Some(fixtures) = fixtures() else { return };
    let resolution = resolved(&[newest(&fixtures)]);
    check(
        &resolution,
        &[
            Row {
                id: "main-api",
                argv: "/usr/bin/python3 -m uvicorn pixsim7.backend.main.main:app --host 0.0.0.0 --port 8000 --reload",
                cwd: "",
                env: &[
                    ("PORT", "8000"),
                    ("BACKEND_PORT", "8000"),
                    ("BACKEND_BASE_URL", "http://localhost:8000"),
                    ("GENERATION_BASE_URL", "http://localhost:8001"),
                    ("FRONTEND_PORT", "5173"),
                    ("LAUNCHER_PORT", "8100"),
                    ("POSTGRES_PORT", "5434"),
                ],
                absent: &["GAME_API_PORT"],
            },
            Row {
                id: "worker",
                argv: "/usr/bin/python3 -m arq pixsim7.backend.main.workers.arq_worker.WorkerSettings",
                cwd: "",
                env: &[("BACKEND_PORT", "8000")],
                absent: &["PORT"],
            },
            Row {
                id: "frontend",
                argv: "pnpm dev --port 5173",
                cwd: "apps/main",
                env: &[
                    ("PORT", "5173"),
                    ("VITE_BACKEND_URL", "http://localhost:8000"),
                    ("VITE_GAME_URL", "http://localhost:5175"),
                ],
                absent: &["PYTHONPATH"],
            },
            Row {
                id: "game_frontend",
                argv: "pnpm dev --port 5175",
                cwd: "apps/game",
                env: &[("PORT", "5175"), ("VITE_BACKEND_URL", "http://localhost:8000")],
                absent: &[],
            },
            Row {
                id: "admin",
                argv: "npm run dev",
                cwd: "apps/main",
                env: &[("PORT", "5174"), ("VITE_ADMIN_PORT", "5174"), ("VITE_BACKEND_URL", "http://localhost:8000")],
                absent: &[],
            },
        ],
    );
    for id in ["main-api", "generation-api", "worker"] {
        let environment = environment(&resolution, id);
        for (name, value) in PYTHON {
            assert_eq!(environment.get(name).map(String::as_str), Some(value), "{id}");
        }
    }
    let main = service(&resolution, "main-api");
    assert!(main.auto_start);
    assert_eq!(main.type_name, "python-web");
    assert_eq!(main.url.as_deref(), Some("http://localhost:8000"));
    assert_eq!(main.docs_url.as_deref(), Some("http://localhost:8000/docs"));
    assert_eq!(main.depends_on.len(), 1);
    assert_eq!(main.ports.len(), 2);
    assert!(matches!(&main.probes[0].check, Check::Http { url, .. } if url == "http://localhost:8000/health"));
    let frontend = service(&resolution, "frontend");
    assert!(matches!(&frontend.probes[0].check, Check::Http { url, .. } if url == "http://localhost:5173/"));
    assert_eq!(service(&resolution, "worker").probes.len(), 0);
    let db = service(&resolution, "db");
    assert_eq!(db.kind, Kind::Detached);
    let notes = problems(&resolution, Severity::Note);
    assert_eq!(notes.iter().filter(|note| note.contains("not run by this version")).count(), 1, "{notes:?}");
}

#[test]
fn each_manifest_becomes_what_it_was() {
    let Some(fixtures) = fixtures() else { return };
    let resolution = resolved(&project(&fixtures));
    check(
        &resolution,
        &[
            Row {
                id: "main-api",
                argv: "/usr/bin/python3 -m uvicorn pixsim7.backend.main.main:app --host 0.0.0.0 --port 8000 --reload",
                cwd: "",
                env: &[
                    ("PORT", "8000"),
                    ("BACKEND_PORT", "8000"),
                    ("BACKEND_BASE_URL", "http://localhost:8000"),
                    ("DATABASE_URL", "postgresql://pixsim:pixsim123@127.0.0.1:5434/pixsim7"),
                    ("REDIS_URL", "redis://127.0.0.1:6380/0"),
                    ("SECRET_KEY", "change-this-in-production"),
                    ("USE_LOCAL_DATASTORES", "0"),
                    ("DEBUG", "1"),
                    ("PIXSIM_HEALTH_INTERVAL", "2"),
                    ("PIXSIM_HEALTH_TIMEOUT", "1.5"),
                    ("ADB_KEEPER_INTERVAL_SEC", "30"),
                    ("PYTHONPATH", ROOT),
                ],
                absent: &[
                    "BLOCKS_DATABASE_URL",
                    "ANTHROPIC_API_KEY",
                    "PIXSIM_BRIDGE_PER_SESSION_SUBPROCESS",
                    "VITE_MANUAL_REFRESH",
                ],
            },
            Row {
                id: "text-embedding-daemon",
                argv: "/usr/bin/python3 -m uvicorn pixsim7.embedding.text_server:app --host 0.0.0.0 --port 8003",
                cwd: "",
                env: &[
                    ("PORT", "8003"),
                    ("PIXSIM_TEXT_EMBEDDING_PORT", "8003"),
                    ("PIXSIM_TEXT_EMBEDDING_BASE_URL", "http://localhost:8003"),
                    ("PYTHONUNBUFFERED", "1"),
                ],
                absent: &[],
            },
            Row {
                id: "frontend-preview",
                argv: "pnpm --filter @pixsim7/main preview --port 4173 --host",
                cwd: "apps/main",
                env: &[("PORT", "4173"), ("FRONTEND_PREVIEW_BASE_URL", "http://localhost:4173")],
                absent: &[],
            },
            Row {
                id: "frontend",
                argv: "pnpm dev --port 5173",
                cwd: "apps/main",
                env: &[
                    ("PORT", "5173"),
                    ("VITE_BACKEND_URL", "relative"),
                    ("VITE_GAME_URL", "http://localhost:5174"),
                    ("VITE_DEVTOOLS_URL", "http://localhost:5176"),
                    ("VITE_MANUAL_REFRESH", "0"),
                ],
                absent: &[],
            },
            Row {
                id: "launcher-dev",
                argv: "pnpm --filter @pixsim7/launcher dev",
                cwd: "",
                env: &[("PORT", "3100"), ("LAUNCHER_DEV_PORT", "3100")],
                absent: &[],
            },
            Row {
                id: "generation-retry",
                argv: "/usr/bin/python3 -m arq pixsim7.backend.main.workers.arq_worker.GenerationRetryWorkerSettings",
                cwd: "",
                env: &[("PYTHONPATH", ROOT)],
                absent: &["PORT"],
            },
            Row {
                id: "ai-client",
                argv: "/usr/bin/python3 -m pixsim7.client --url ws://localhost:8000/api/v1/ws/agent-cmd --hook-port 0 \
                       --pool-size 1 --max-sessions 10 --timeout 120",
                cwd: "",
                env: &[("PIXSIM_BRIDGE_PER_SESSION_SUBPROCESS", "0")],
                absent: &[],
            },
        ],
    );
    // Each `package.json` says where it lies; the folder of the file only counts where none does.
    assert_eq!(spawn(&resolution, "game_frontend").cwd, Path::new(ROOT).join("apps/game"));
}

#[test]
fn the_variable_of_the_agent_decides_on_a_port_and_whoever_refers_to_it_follows() {
    let Some(fixtures) = fixtures() else { return };
    let mut surroundings = surroundings();
    surroundings.environment.insert("BACKEND_PORT".into(), "9000".into());
    let resolution = resolve(&[newest(&fixtures)], &surroundings, &InUse::default());
    assert_eq!(service(&resolution, "main-api").port, Some(9000));
    assert!(spawn(&resolution, "main-api").argv.join(" ").contains("--port 9000 --reload"));
    assert_eq!(environment(&resolution, "frontend")["VITE_BACKEND_URL"], "http://localhost:9000");
    assert_eq!(environment(&resolution, "generation-api")["BACKEND_BASE_URL"], "http://localhost:9000");
}
