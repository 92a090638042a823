//! The rendered lights are what their sources give.

mod render;

#[test]
fn each_rendered_light_is_what_its_source_gives() {
    for icon in render::all() {
        let shipped = std::fs::read(&icon.path)
            .unwrap_or_else(|error| panic!("{}: {error}; run cargo run --example render-icons", icon.path.display()));
        assert!(
            render::pixels(&shipped) == render::pixels(&icon.png),
            "{} is stale: run cargo run --example render-icons",
            icon.path.display()
        );
    }
}

#[test]
fn no_two_lights_have_the_same_silhouette() {
    for size in render::SIZES {
        let shapes: Vec<Vec<bool>> = render::all()
            .into_iter()
            .map(|icon| render::pixels(&icon.png))
            .filter(|(width, _, _)| *width == size)
            .map(|(_, _, rgba)| rgba.chunks_exact(4).map(|pixel| pixel[3] > 127).collect())
            .collect();
        assert_eq!(shapes.len(), render::LIGHTS.len());
        for (n, one) in shapes.iter().enumerate() {
            for other in &shapes[n + 1..] {
                let different = one.iter().zip(other).filter(|(a, b)| a != b).count();
                assert!(different * 12 > one.len(), "only {different} of {} pixels differ at {size} px", one.len());
            }
        }
    }
}
