//! From the sources of the lights to pixels: shared by the test that compares and the example that writes.

use std::path::{Path, PathBuf};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// The lights that have a source each.
pub const LIGHTS: [&str; 4] = ["gray", "green", "yellow", "red"];
/// The sizes, in pixels, that panels ask for.
pub const SIZES: [u32; 6] = [16, 22, 24, 32, 48, 64];

/// One light in one size.
pub struct Rendered {
    /// Where it belongs.
    pub path: PathBuf,
    /// What belongs there.
    pub png: Vec<u8>,
}

/// Renders every light in every size.
pub fn all() -> Vec<Rendered> {
    LIGHTS.iter().flat_map(|light| SIZES.map(|size| one(light, size))).collect()
}

/// Width, height and straight RGBA of a PNG: how its bytes are packed is the encoder's affair.
pub fn pixels(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
    let mut data = vec![0; reader.output_buffer_size().expect("an icon fits into memory")];
    let frame = reader.next_frame(&mut data).expect("a whole PNG");
    data.truncate(frame.buffer_size());
    (frame.width, frame.height, data)
}

fn one(light: &str, size: u32) -> Rendered {
    let icons = Path::new(env!("CARGO_MANIFEST_DIR")).join("icons");
    let source = std::fs::read(icons.join(format!("{light}.svg"))).expect("each light has a source");
    let tree = Tree::from_data(&source, &Options::default()).expect("the source is SVG");
    let mut canvas = Pixmap::new(size, size).expect("the size is not zero");
    let scale = |side: f32| size as f32 / side;
    let fit = Transform::from_scale(scale(tree.size().width()), scale(tree.size().height()));
    resvg::render(&tree, fit, &mut canvas.as_mut());
    Rendered {
        path: icons.join("rendered").join(format!("{light}-{size}.png")),
        png: canvas.encode_png().expect("a pixmap is a PNG"),
    }
}
