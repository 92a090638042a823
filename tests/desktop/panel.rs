//! The whole program in a real panel, lxqt-panel: what a user sees and clicks.
//!
//! If `PILOTLIGHT_TEST_PICTURES` names a folder, what was seen is kept there for people to look at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pilotlight::domain::Light;
use serde_json::json;

use super::bus::{Desktop, eventually, on_a_desktop};
use super::whole::{User, idle};

/// A panel along the upper edge with nothing in it but tray items.
const SETTINGS: &str = "[General]\n__userfile__=true\npanels=panel1\n\n\
    [panel1]\nalignment=-1\ndesktop=0\npanelSize=32\nposition=Top\nplugins=statusnotifier\nwidth=100\nwidth-percent=true\n\n\
    [statusnotifier]\ntype=statusnotifier\n";
/// Where the only item is in that panel, in pixels from the left and from the top.
const ICON: (&str, &str) = ("15", "15");

/// A running panel; killed when dropped.
struct Panel {
    process: Child,
    pictures: PathBuf,
}

impl Panel {
    fn start(desktop: &Desktop) -> Self {
        let home = desktop.folder.join("home");
        fs::create_dir_all(home.join(".config/lxqt")).unwrap();
        fs::write(home.join(".config/lxqt/panel.conf"), SETTINGS).unwrap();
        let mut panel = Command::new("lxqt-panel");
        panel.env("HOME", home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = panel.spawn().expect("lxqt-panel is installed");
        let kept = std::env::var_os("PILOTLIGHT_TEST_PICTURES").map(PathBuf::from);
        Self { process, pictures: kept.unwrap_or_else(|| desktop.folder.clone()) }
    }

    /// Waits until the icon has the colour that only `light` has.
    async fn shows(&self, light: Light) {
        let picture = self.pictures.join(format!("panel-{}.png", light.as_str()));
        eventually(light.as_str(), async || (seen(&picture) == Some(light)).then_some(())).await;
    }

    /// Opens the menu by a click on the icon, and waits until it is to be seen.
    async fn open_menu(&self) {
        let picture = self.pictures.join("panel-menu.png");
        input(&["mousemove", ICON.0, ICON.1, "click", "3"]);
        eventually("the menu", async || shows_menu(&picture).then_some(())).await;
    }

    /// Whether the menu is to be seen now.
    fn is_menu_open(&self) -> bool {
        shows_menu(&self.pictures.join("panel-menu.png"))
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_real_panel_shows_the_light_and_its_menu_switches_services() {
    on_a_desktop(async |desktop| {
        let _bus = desktop.start_bus();
        let panel = Panel::start(&desktop);
        let mut user = User::new();
        user.drop_in("web", &idle("Web & <b>more_</b>"));
        user.drop_in("broken", &json!({"name": "Broken", "command": ["false"], "restart": "never"}));
        user.start_agent(&["run", "--tray"]).await;
        panel.shows(Light::Gray).await;

        // The first line can't be chosen, so the first of the keys goes to the first service, the second to the next.
        panel.open_menu().await;
        input(&["key", "Down", "Down", "Return"]);
        user.sees("web", "health", "healthy").await;
        panel.shows(Light::Green).await;

        panel.open_menu().await;
        user.ok(&["stop", "web"]).await;
        panel.shows(Light::Gray).await;
        assert!(panel.is_menu_open(), "an open menu stays open");
        input(&["key", "Down", "Return"]);
        user.sees("broken", "process", "failed").await;
        panel.shows(Light::Red).await;
    });
}

/// Presses keys and buttons, as `xdotool` is told.
fn input(arguments: &[&str]) {
    let status = Command::new("xdotool").args(arguments).status().expect("xdotool is installed");
    assert!(status.success(), "{arguments:?}");
}

/// Takes a picture of everything on the display.
fn photograph(picture: &Path) {
    let mut import = Command::new("import");
    import.args(["-window", "root"]).arg(format!("png32:{}", picture.display()));
    let status = import.status().expect("imagemagick is installed");
    assert!(status.success());
}

/// Whether there is anything but black below the panel.
fn shows_menu(picture: &Path) -> bool {
    photograph(picture);
    let rows = pixels(picture).unwrap_or_default();
    let below = rows.iter().skip(60).take(140).flatten();
    below.filter(|pixel| pixel.iter().any(|part| *part > 200)).count() > 5000
}

/// The light whose colour the middle of the icon has most of.
fn seen(picture: &Path) -> Option<Light> {
    photograph(picture);
    let rows = pixels(picture)?;
    let icon: Vec<_> = rows[2..30].iter().flat_map(|row| &row[2..30]).collect();
    // As their drawings have it.
    let colours = [
        (Light::Gray, [0xa3, 0xab, 0xb6]),
        (Light::Green, [0x1f, 0x9d, 0x4d]),
        (Light::Yellow, [0xff, 0xc2, 0x1a]),
        (Light::Red, [0xdc, 0x2f, 0x3a]),
    ];
    let near = |pixel: &[u8; 3], colour: &[u8; 3]| pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(*b) < 12);
    let count = |colour| icon.iter().filter(|pixel| near(pixel, &colour)).count();
    let (light, most) = colours.map(|(light, colour)| (light, count(colour))).into_iter().max_by_key(|(_, n)| *n)?;
    (most > 30).then_some(light)
}

/// Red, green and blue of all pixels, row by row.
fn pixels(picture: &Path) -> Option<Vec<Vec<[u8; 3]>>> {
    let png = fs::read(picture).ok()?;
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().ok()?;
    let mut data = vec![0; reader.output_buffer_size()?];
    let frame = reader.next_frame(&mut data).ok()?;
    assert_eq!(frame.color_type, png::ColorType::Rgba);
    let rows = data.chunks_exact(frame.line_size);
    Some(rows.map(|row| row.chunks_exact(4).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()).collect())
}
