//! The rendered lights, embedded in the program, in the form that StatusNotifierItem wants.

use std::sync::OnceLock;

use crate::domain::Light;

/// The sizes in which each light is embedded, in pixels.
const SIZES: usize = 6;

/// The light in every size: ARGB, big-endian.
pub fn pixmaps(light: Light) -> &'static [ksni::Icon] {
    static DECODED: [OnceLock<Vec<ksni::Icon>>; 4] = [const { OnceLock::new() }; 4];
    DECODED[light as usize].get_or_init(|| files(light).iter().filter_map(|png| decode(png)).collect())
}

/// The light as a PNG of 16 px, for an entry of the menu.
pub fn small_png(light: Light) -> &'static [u8] {
    files(light)[0]
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

fn files(light: Light) -> &'static [&'static [u8]; SIZES] {
    match light {
        Light::Gray => embedded!("gray"),
        Light::Green => embedded!("green"),
        Light::Yellow => embedded!("yellow"),
        Light::Red => embedded!("red"),
    }
}

/// `None` for what is not a PNG with eight bits of red, green, blue and alpha each, which no embedded file is.
fn decode(png: &[u8]) -> Option<ksni::Icon> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().ok()?;
    let mut data = vec![0; reader.output_buffer_size()?];
    let frame = reader.next_frame(&mut data).ok()?;
    if (frame.color_type, frame.bit_depth) != (png::ColorType::Rgba, png::BitDepth::Eight) {
        return None;
    }
    data.truncate(frame.buffer_size());
    for pixel in data.chunks_exact_mut(4) {
        pixel.rotate_right(1);
    }
    Some(ksni::Icon { width: frame.width.try_into().ok()?, height: frame.height.try_into().ok()?, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_light_decodes_in_every_size() {
        for light in Light::ALL {
            let sizes: Vec<_> = pixmaps(light).iter().map(|icon| (icon.width, icon.height, icon.data.len())).collect();
            assert_eq!(sizes, [16, 22, 24, 32, 48, 64].map(|size: i32| (size, size, (size * size * 4) as usize)));
        }
    }
}
