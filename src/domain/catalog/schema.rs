//! The JSON Schema of a source, for editors.
//!
//! It is written by hand, beside the readers that it describes, and decides nothing: tests hold it to them.

/// The schema, as text (JSON Schema, draft 2020-12).
pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::exposed::SETTING_KEYS;
    use super::super::read_service::SERVICE_KEYS;
    use super::super::shapes::{CATALOG_KEYS, CATALOG_ONLY, LISTS, NATURE_OF_SERVICE};
    use super::super::types::{TYPE_KEYS, built_in};
    use super::*;

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    /// The keys of an object that the schema calls `name`.
    fn keys(name: &str) -> BTreeSet<String> {
        schema()["$defs"][name]["properties"].as_object().unwrap().keys().cloned().collect()
    }

    /// The keys that a list of `required` asks for.
    fn asked(list: &Value) -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|one| one["required"][0].as_str().unwrap().to_owned()).collect()
    }

    fn set<'a>(keys: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        keys.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn its_keys_are_those_that_are_read() {
        let lists = || LISTS.iter().map(|(key, _)| *key);
        assert_eq!(keys("service"), set(SERVICE_KEYS));
        assert_eq!(keys("catalog"), set(lists().chain(CATALOG_KEYS).chain(["$schema"])));
        assert_eq!(keys("type"), set(TYPE_KEYS.into_iter().chain(["type"])));
        assert_eq!(keys("setting"), set(SETTING_KEYS));
    }

    #[test]
    fn it_tells_the_shapes_apart_as_the_reader_does() {
        let defs = &schema()["$defs"];
        let lists = LISTS.iter().map(|(key, _)| *key);
        assert_eq!(asked(&defs["has_a_list"]["anyOf"]), set(lists.chain(["service_groups"])));
        let catalog = &defs["is_a_catalog_without_services"];
        assert_eq!(asked(&catalog["anyOf"]), set(CATALOG_ONLY));
        assert_eq!(asked(&catalog["not"]["anyOf"]), set(NATURE_OF_SERVICE));
    }

    #[test]
    fn it_offers_every_built_in_type() {
        let schema = schema();
        let offered = schema["$defs"]["service"]["properties"]["type"]["anyOf"][0]["enum"].as_array().unwrap();
        let offered = offered.iter().map(|name| name.as_str().unwrap());
        assert_eq!(set(offered), set(built_in().iter().map(|entry| &*entry.key)));
    }

    #[test]
    fn every_key_has_a_description() {
        let schema = schema();
        for (name, def) in schema["$defs"].as_object().unwrap() {
            for (key, property) in def["properties"].as_object().into_iter().flatten() {
                let is_described = property["description"].as_str().is_some_and(|text| text.ends_with('.'));
                assert!(is_described || key == "pixsim", "{name}.{key}");
            }
        }
    }
}
