//! What sources include, read from disk as the agent does, and what becomes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use pilotlight::domain::catalog::{InUse, Reading, Resolution, Role, resolve};
use pilotlight::domain::{Problem, Severity};
use pilotlight::sources::{Asked, Location, Reader, Unwatched};

use super::real::fixtures;
use super::sources::{environment, errors, problems, spawn};

/// A project on disk.
struct Project {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    profile: Option<&'static str>,
    _guard: tempfile::TempDir,
}

impl Project {
    fn of(files: &[(&str, &str)]) -> Self {
        let guard = tempfile::tempdir().unwrap();
        let folder = guard.path().canonicalize().unwrap();
        let project = Self { folder, environment: BTreeMap::new(), profile: None, _guard: guard };
        files.iter().for_each(|(name, text)| project.write(name, text));
        project
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn reader_of(&self, main: &str) -> Reader {
        let config = Some(self.folder.join(main));
        let location = Location::find(&Asked { config, working_directory: self.folder.clone(), user_folder: None });
        let location = match self.profile {
            Some(profile) => location.with_profile(profile).unwrap(),
            None => location,
        };
        Reader::new(location, None, self.environment.clone(), Box::new(Unwatched))
    }

    fn reader(&self) -> Reader {
        self.reader_of("services.json")
    }

    fn read(&self) -> (Reading, Resolution) {
        whole(&mut self.reader())
    }
}

/// A reading, and what comes of it with the problems of both.
fn whole(reader: &mut Reader) -> (Reading, Resolution) {
    let reading = reader.read("a test".to_owned());
    let mut resolution = resolve(&reading.files, &reading.surroundings, &InUse::default());
    resolution.problems.extend(reading.problems.iter().cloned());
    (reading, resolution)
}

fn names(reading: &Reading) -> Vec<&str> {
    reading.files.iter().map(|file| &*file.name).collect()
}

fn ids(resolution: &Resolution) -> Vec<&str> {
    resolution.catalog.services.ids().map(|id| id.as_str()).collect()
}

/// "severity file:line:column: message" of each problem.
fn told(resolution: &Resolution) -> Vec<String> {
    let one = |problem: &Problem| {
        let place = problem.place.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} {place}: {}", problem.severity.as_str(), problem.message)
    };
    resolution.problems.iter().map(one).collect()
}

const A: &str = r#"{"id": "a", "command": "a"}"#;
const B: &str = r#"{"id": "b", "command": "b"}"#;
const C: &str = r#"{"id": "c", "command": "c"}"#;

#[test]
fn included_files_come_after_drop_ins_by_their_paths_whoever_includes_them() {
    let project = Project::of(&[
        ("services.json", r#"{"include": ["z/*.json", "a/*.json"]}"#),
        ("services.d/b.json", r#"{"services": [{"id": "b", "command": "b"}], "include": ["m/x.json"]}"#),
        ("a/2.json", A),
        ("a/10.json", C),
        ("m/x.json", r#"{"id": "m", "command": "m"}"#),
        ("z/x.json", r#"{"id": "z", "command": "z"}"#),
    ]);
    let (reading, resolution) = project.read();
    let order = ["services.json", "services.d/b.json", "a/10.json", "a/2.json", "m/x.json", "z/x.json"];
    assert_eq!(names(&reading), order);
    assert!(reading.files[2..].iter().all(|file| file.role == Role::Include));
    assert_eq!(ids(&resolution), ["b", "c", "a", "m", "z"]);
    assert_eq!(told(&resolution), [""; 0]);
}

#[test]
fn an_included_source_may_include_others_and_each_is_read_once() {
    let project = Project::of(&[
        ("services.json", r#"{"include": ["one.json", "services.json", "services.d/*.json", "./one.json"]}"#),
        ("services.d/a.json", A),
        ("one.json", r#"{"services": [{"id": "b", "command": "b"}], "include": ["more/*.json", "one.json"]}"#),
        ("more/two.json", r#"{"services": [{"id": "c", "command": "c"}], "include": ["services.json", "one.json"]}"#),
    ]);
    std::os::unix::fs::symlink("two.json", project.folder.join("more/alias.json")).unwrap();
    let (reading, resolution) = project.read();
    assert_eq!(names(&reading), ["services.json", "services.d/a.json", "more/alias.json", "one.json"]);
    assert_eq!((ids(&resolution), told(&resolution)), (vec!["a", "c", "b"], Vec::new()));
}

#[test]
fn patterns_start_at_the_root_and_files_outside_are_named_in_full() {
    let project = Project::of(&[
        ("launcher/services.json", r#"{"root": "..", "include": ["apps/*/package.json"]}"#),
        ("apps/x/package.json", r#"{"pixsim": {"service": {"id": "x", "command": "x"}}}"#),
    ]);
    let (reading, resolution) = whole(&mut project.reader_of("launcher/services.json"));
    let path = project.folder.join("apps/x/package.json");
    assert_eq!(names(&reading)[1], path.to_str().unwrap());
    assert_eq!(spawn(&resolution, "x").cwd, project.folder.join("apps/x"), "its own folder is meant");
}

#[test]
fn a_package_is_no_service_unless_it_says_so_and_never_an_error() {
    let project = Project::of(&[
        ("services.json", r#"{"include": ["apps/*/package.json"]}"#),
        (
            "apps/plain/package.json",
            r#"{"name": "x", "version": "1.0.0", "types": "x.d.ts", "type": "module",
            "description": "d", "scripts": {"dev": "x"}, "dependencies": {"react": "1"}, "files": [], "icon": 7,
            "services": "no", "service": "no", "overrides": {"react": "2"}, "env": {}}"#,
        ),
        ("apps/other/package.json", r#"{"name": "y", "pixsim": {"build": true}}"#),
        ("apps/null/package.json", r#"{"name": "y", "pixsim": null}"#),
        (
            "apps/named/package.json",
            r#"{"name": "n", "types": "x.d.ts", "pixsim": {"service":
            {"id": "n", "command": "n", "directory": "elsewhere"}}}"#,
        ),
        ("apps/wrapped/package.json", r#"{"name": "w", "dependencies": {}, "service": {"id": "w", "command": "w"}}"#),
    ]);
    let (reading, resolution) = project.read();
    assert_eq!(names(&reading).len(), 6);
    assert_eq!((ids(&resolution), told(&resolution)), (vec!["n", "w"], Vec::new()));
    assert_eq!(spawn(&resolution, "n").cwd, project.folder.join("elsewhere"));
    assert_eq!(spawn(&resolution, "w").cwd, project.folder.join("apps/wrapped"));
}

#[test]
fn what_is_wrong_with_an_include_is_told_at_its_place() {
    let table = [
        (r#""a.json""#, "error services.json:1:13: \"include\" must be a list, but is text"),
        (r#"[7]"#, "error services.json:1:14: an element of \"include\" must be text, but is a number"),
        (r#"["[a"]"#, "error services.json:1:14: the pattern \"[a\" can't be read: "),
        (r#"["apps/"]"#, "error services.json:1:14: the pattern \"apps/\" names a folder"),
        (r#"["*/../a"]"#, "error services.json:1:14: the pattern \"*/../a\" steps up behind a wildcard"),
        (r#"["no.json"]"#, "warning services.json:1:14: there is no file \"no.json\" to include"),
        (r#"["no/*.json"]"#, "note services.json:1:14: no file matches \"no/*.json\" yet"),
        (r#"["text.json"]"#, "error text.json:1:1: "),
    ];
    for (include, problem) in table {
        let include = format!(r#"{{"include": {include}, "services": [{A}]}}"#);
        let project = Project::of(&[("services.json", &include), ("text.json", "nonsense")]);
        let (reading, mut resolution) = project.read();
        resolution.problems.extend(reading.files.iter().filter_map(|file| match &file.content {
            pilotlight::domain::catalog::Content::Broken(problem) => Some(problem.clone()),
            _ => None,
        }));
        resolution.problems.dedup();
        assert!(told(&resolution)[0].starts_with(problem), "{include}: {:?}", told(&resolution));
        assert_eq!(ids(&resolution), ["a"], "{include} costs itself only");
    }
}

#[test]
fn an_included_file_is_judged_like_every_source() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::of(&[
        ("services.json", r#"{"include": ["x/*.json"], "services": [{"id": "a", "command": "a"}]}"#),
        ("x/open.json", B),
        ("x/twice.json", A),
        ("x/group.json", C),
    ]);
    for (name, mode) in [("x/open.json", 0o666), ("x/group.json", 0o664)] {
        fs::set_permissions(project.folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let (reading, resolution) = project.read();
    let refused = |file: &&std::sync::Arc<pilotlight::domain::catalog::SourceFile>| {
        matches!(file.content, pilotlight::domain::catalog::Content::Refused(_))
    };
    assert_eq!(reading.files.iter().find(refused).map(|file| &*file.name), Some("x/open.json"));
    assert_eq!(ids(&resolution), ["a", "c"]);
    assert_eq!(problems(&resolution, Severity::Note), ["x/group.json: the file's group may write to it"]);
    assert!(
        errors(&resolution).iter().any(|error| error.contains("the id \"a\" is used twice")),
        "{:?}",
        told(&resolution)
    );
}

#[test]
fn what_a_source_included_stays_while_it_is_broken_and_goes_with_it() {
    let main = r#"{"include": ["x/*.json"]}"#;
    let project = Project::of(&[("services.json", main), ("x/a.json", A)]);
    let mut reader = project.reader();
    let mut read = || names(&reader.read("a test".to_owned())).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(read(), ["services.json", "x/a.json"]);
    for broken in ["{", "", "{\"include\": [\"x/"] {
        project.write("services.json", broken);
        assert_eq!(read(), ["services.json", "x/a.json"], "{broken:?}");
    }
    project.write("services.json", r#"{"include": []}"#);
    assert_eq!(read(), ["services.json"]);
    project.write("services.json", main);
    assert_eq!(read(), ["services.json", "x/a.json"]);
    fs::remove_file(project.folder.join("services.json")).unwrap();
    assert_eq!(read(), [""; 0]);
}

#[test]
fn a_profile_is_the_last_source_and_may_include_others() {
    let mut project = Project::of(&[
        ("services.json", r#"{"services": [{"id": "a", "command": "a", "description": "main"}]}"#),
        ("services.d/z.json", r#"{"overrides": {"a": {"description": "drop-in", "tags": ["drop-in"]}}}"#),
        ("profiles/demo.json", r#"{"overrides": {"a": {"description": "profile"}}, "include": ["more/b.json"]}"#),
        ("profiles/other.json", C),
        ("more/b.json", B),
    ]);
    let (reading, _) = project.read();
    assert_eq!(names(&reading), ["services.json", "services.d/z.json"], "none is read that was not asked for");
    project.profile = Some("demo");
    let (reading, resolution) = project.read();
    assert_eq!(names(&reading), ["services.json", "services.d/z.json", "more/b.json", "profiles/demo.json"]);
    assert_eq!((ids(&resolution), told(&resolution)), (vec!["a", "b"], Vec::new()));
    let display = &resolution.catalog.services.get("a").unwrap().display;
    assert_eq!((display.description.as_deref(), &*display.tags), (Some("profile"), &["drop-in".to_owned()][..]));
    project.profile = Some("absent");
    let (_, resolution) = project.read();
    assert_eq!(told(&resolution), ["error profiles/absent.json: there is no such profile"]);
    let hint = format!("it is looked for at {}", project.folder.join("profiles/absent.json").display());
    assert_eq!(resolution.problems[0].hint.as_deref(), Some(&*hint));
}

/// What a package of the real project must become, included from where it lies.
struct Row {
    file: &'static str,
    folder: &'static str,
    id: &'static str,
    port: &'static str,
    exports: [&'static str; 2],
    env: &'static [(&'static str, &'static str)],
}

const PACKAGES: [Row; 6] = [
    Row {
        file: "admin.package.json",
        folder: "apps/admin",
        id: "admin",
        port: "5175",
        exports: ["ADMIN_PORT", "ADMIN_BASE_URL"],
        env: &[("VITE_API_URL", "http://localhost:8100")],
    },
    Row {
        file: "devtools.20260114.baf321370.package.json",
        folder: "apps/devtools",
        id: "devtools",
        port: "5176",
        exports: ["DEVTOOLS_PORT", "DEVTOOLS_BASE_URL"],
        env: &[("VITE_BACKEND_URL", "http://localhost:8000")],
    },
    Row {
        file: "devtools.package.json",
        folder: "apps/devtools",
        id: "devtools",
        port: "5176",
        exports: ["DEVTOOLS_PORT", "DEVTOOLS_BASE_URL"],
        env: &[("VITE_BACKEND_URL", "http://localhost:8000")],
    },
    Row {
        file: "game.package.json",
        folder: "apps/game",
        id: "game_frontend",
        port: "5174",
        exports: ["GAME_FRONTEND_PORT", "GAME_FRONTEND_BASE_URL"],
        env: &[("VITE_BACKEND_URL", "http://localhost:8000")],
    },
    Row {
        file: "main.20260114.baf321370.package.json",
        folder: "apps/main",
        id: "frontend",
        port: "5173",
        exports: ["FRONTEND_PORT", "FRONTEND_BASE_URL"],
        env: &[
            ("VITE_BACKEND_URL", "http://localhost:8000"),
            ("VITE_GAME_URL", "http://localhost:1"),
            ("VITE_DEVTOOLS_URL", "http://localhost:2"),
        ],
    },
    Row {
        file: "main.package.json",
        folder: "apps/main",
        id: "frontend",
        port: "5173",
        exports: ["FRONTEND_PORT", "FRONTEND_BASE_URL"],
        env: &[
            ("VITE_BACKEND_URL", "relative"),
            ("VITE_GAME_URL", "http://localhost:1"),
            ("VITE_DEVTOOLS_URL", "http://localhost:2"),
            ("VITE_MANUAL_REFRESH", "0"),
        ],
    },
];

#[test]
fn every_real_package_that_is_included_becomes_what_it_was() {
    let Some(fixtures) = fixtures() else { return };
    let folder = fixtures.join("package-json");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, PACKAGES.each_ref().map(|row| row.file), "each has its row");
    for row in PACKAGES {
        let url = format!("http://localhost:{}", row.port);
        let mut project = Project::of(&[
            ("services.json", r#"{"include": ["apps/*/package.json"], "services": [{"id": "seen", "command": "x"}]}"#),
            ("apps/none/package.json", r#"{"name": "none"}"#),
            // What the others of the project export.
            (".env", "BACKEND_BASE_URL=http://localhost:8000\nLAUNCHER_BASE_URL=http://localhost:8100\n"),
        ]);
        let others = [("GAME_FRONTEND_BASE_URL", "http://localhost:1"), ("DEVTOOLS_BASE_URL", "http://localhost:2")];
        project.environment = others.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let text = fs::read_to_string(folder.join(row.file)).unwrap();
        project.write(&format!("{}/package.json", row.folder), &text);
        let (_, resolution) = project.read();
        assert_eq!(errors(&resolution), [""; 0], "{}", row.file);
        assert_eq!(problems(&resolution, Severity::Warning), [""; 0], "{}", row.file);
        assert_eq!(ids(&resolution), ["seen", row.id], "{}", row.file);
        let spawned = spawn(&resolution, row.id);
        assert_eq!(spawned.argv, ["pnpm", "dev", "--port", row.port], "{}", row.file);
        assert_eq!(spawned.cwd, project.folder.join(row.folder), "{}", row.file);
        let own = environment(&resolution, row.id);
        for (name, value) in row.env.iter().copied().chain([("PORT", row.port)]) {
            assert_eq!(own.get(name).map(String::as_str), Some(value), "{}: {name}", row.file);
        }
        let others = environment(&resolution, "seen");
        for (name, value) in row.exports.into_iter().zip([row.port, &url]) {
            assert_eq!(others.get(name).map(String::as_str), Some(value), "{}: {name}", row.file);
            assert_eq!(own.get(name).map(String::as_str), Some(value), "{}: {name}", row.file);
        }
        assert!(!others.contains_key("VITE_BACKEND_URL") && !others.contains_key("PORT"), "{}", row.file);
        // Without `directory`, its own folder is meant.
        let directory = format!("\"directory\": {:?},", row.folder);
        assert!(text.contains(&directory), "{}", row.file);
        let moved = text.replace(&directory, "");
        fs::remove_dir_all(project.folder.join(row.folder)).unwrap();
        project.write("apps/elsewhere/package.json", &moved);
        let (_, resolution) = project.read();
        assert_eq!(spawn(&resolution, row.id).cwd, project.folder.join("apps/elsewhere"), "{}", row.file);
    }
}

#[test]
fn all_newest_real_packages_are_included_by_one_pattern() {
    let Some(fixtures) = fixtures() else { return };
    let project = Project::of(&[("services.json", r#"{"include": ["apps/*/package.json"]}"#)]);
    for row in PACKAGES.iter().filter(|row| !row.file.contains(".2026")) {
        let text = fs::read_to_string(fixtures.join("package-json").join(row.file)).unwrap();
        project.write(&format!("{}/package.json", row.folder), &text);
    }
    let (_, resolution) = project.read();
    assert_eq!(errors(&resolution), [""; 0]);
    assert_eq!(ids(&resolution), ["admin", "devtools", "game_frontend", "frontend"]);
    let url = environment(&resolution, "frontend").get("VITE_GAME_URL").cloned();
    assert_eq!(url.as_deref(), Some("http://localhost:5174"));
}
