//! The rendered lights, embedded in the program.

use crate::domain::Light;

/// The sizes in which each light is embedded, in pixels.
const SIZES: usize = 6;

/// A picture with as many rows as columns.
pub(super) struct Picture {
    /// How many pixels wide and high.
    pub side: u32,
    /// Red, green, blue and alpha of each pixel, row by row.
    pub rgba: Vec<u8>,
}

/// The light in every size, the smallest (16 px) first.
pub(super) fn pictures(light: Light) -> impl Iterator<Item = Picture> {
    files(light).iter().filter_map(|png| decode(png))
}

macro_rules! embedded {
    ($light:literal) => {
        &[
            include_bytes!(concat!("../../icons/rendered/", $light, "-16.png")),
            include_bytes!(concat!("../../icons/rendered/", $light, "-22.png")),
            include_bytes!(concat!("../../icons/rendered/", $light, "-24.png")),
            include_bytes!(concat!("../../icons/rendered/", $light, "-32.png")),
            include_bytes!(concat!("../../icons/rendered/", $light, "-48.png")),
            include_bytes!(concat!("../../icons/rendered/", $light, "-64.png")),
        ]
    };
}

/// The light in every size as PNG, the smallest first.
pub(super) fn files(light: Light) -> &'static [&'static [u8]; SIZES] {
    match light {
        Light::Gray => embedded!("gray"),
        Light::Green => embedded!("green"),
        Light::Yellow => embedded!("yellow"),
        Light::Red => embedded!("red"),
    }
}

/// `None` for what is not a square PNG with eight bits of red, green, blue and alpha each, which no embedded file is.
fn decode(png: &[u8]) -> Option<Picture> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().ok()?;
    let mut rgba = vec![0; reader.output_buffer_size()?];
    let frame = reader.next_frame(&mut rgba).ok()?;
    let is_plain = (frame.color_type, frame.bit_depth) == (png::ColorType::Rgba, png::BitDepth::Eight);
    if !is_plain || frame.width != frame.height {
        return None;
    }
    rgba.truncate(frame.buffer_size());
    Some(Picture { side: frame.width, rgba })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_light_decodes_in_every_size() {
        for light in Light::ALL {
            let sizes: Vec<_> = pictures(light).map(|picture| (picture.side, picture.rgba.len())).collect();
            assert_eq!(sizes, [16, 22, 24, 32, 48, 64].map(|side: u32| (side, (side * side * 4) as usize)));
        }
    }
}
