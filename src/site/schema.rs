//! The vocabulary for others: a JSON Schema for editors, and the reference page's tables.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::{raw, read::Value};

/// JSON Schema (draft 2020-12) of site.toml.
pub fn json() -> Json {
    let mut schema = raw::File::schema();
    without_order(&mut schema);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("site.toml of custodian");
    schema
}

fn without_order(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            if object.contains_key("properties") {
                object.remove("order");
            }
            object.values_mut().for_each(without_order);
        }
        Json::Array(array) => array.iter_mut().for_each(without_order),
        _ => {}
    }
}

/// The tables of `docs/ref/site.md`, in Markdown: every table with its keys, their types, and what they are for.
pub fn reference() -> String {
    let mut page = Page::default();
    page.table("", &raw::File::schema());
    page.out
}

#[derive(Default)]
struct Page {
    out: String,
    /// Tables that stand in it already: where, and their keys.
    done: Vec<(String, Json)>,
}

/// The table inside a key's schema, and how its header is written.
fn inner<'a>(name: &str, schema: &'a Json) -> Option<(String, &'a Json)> {
    if schema["properties"].is_object() {
        Some((name.to_owned(), schema))
    } else if schema["additionalProperties"]["properties"].is_object() {
        Some((format!("{name}.<id>"), &schema["additionalProperties"]))
    } else if schema["items"]["properties"].is_object() {
        Some((format!("[{name}]"), &schema["items"]))
    } else {
        schema["anyOf"].get(1).and_then(|list| inner(name, list))
    }
}

impl Page {
    fn table(&mut self, name: &str, schema: &Json) {
        let heading = if name.is_empty() { "The file".to_owned() } else { format!("`[{name}]`") };
        let about = words(&schema["description"]);
        if let Some((first, _)) = self.done.iter().find(|(_, keys)| *keys == schema["properties"]) {
            // Writing into a String does not fail, here and below.
            let _ = write!(self.out, "### {heading}\n\n{about} The keys are those of {first}.\n\n");
            return;
        }
        self.done.push((heading.clone(), schema["properties"].clone()));
        let _ = write!(self.out, "### {heading}\n\n{about}\n\n| key | value | what for |\n|---|---|---|\n");
        let list = |word: &str| schema[word].as_array().into_iter().flatten().filter_map(Json::as_str);
        let mut tables = Vec::new();
        for key in list("order") {
            let value = &schema["properties"][key];
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            let full = if name.is_empty() { key.to_owned() } else { format!("{bare}.{key}") };
            let kind = match inner(&full, value) {
                Some((header, schema)) => {
                    let link = format!("`[{header}]`");
                    tables.push((header, schema));
                    link
                }
                None => kind(value),
            };
            let need = if list("required").any(|r| r == key) { " **Required.**" } else { "" };
            let _ = writeln!(self.out, "| `{key}` | {kind} | {}{need} |", words(&value["description"]));
        }
        self.out.push('\n');
        for (header, schema) in tables {
            self.table(&header, schema);
        }
    }
}

fn words(text: &Json) -> &str {
    text.as_str().unwrap_or_default()
}

fn kind(schema: &Json) -> String {
    let of = if schema["items"].is_object() { &schema["items"] } else { schema };
    let list = if schema["items"].is_object() { "list of: " } else { "" };
    let choices: Vec<String> = match (of["oneOf"].as_array(), of["enum"].as_array()) {
        (Some(all), _) => all
            .iter()
            .map(|c| format!("`{}` ({})", words(&c["const"]), words(&c["description"]).trim_end_matches('.')))
            .collect(),
        (_, Some(all)) => all.iter().map(|c| format!("`{}`", words(c))).collect(),
        _ => vec![words(&of["title"]).to_owned()],
    };
    format!("{list}{}", choices.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_table() {
        let text = reference();
        for table in [
            "[site]",
            "[retention]",
            "[recorder.<id>]",
            "[[recorder.<id>.volume]]",
            "[area.<id>]",
            "[area.<id>.retention]",
            "[camera.<id>]",
            "[role.<id>]",
            "[person.<id>]",
            "[approval.key_room]",
            "[[health.push]]",
            "[[health.alarm]]",
            "[health.pull]",
            "[health.vendor]",
            "[health.fail]",
            "[[backup.to]]",
        ] {
            assert!(text.contains(&format!("### `{table}`")), "{table} in\n{text}");
        }
        assert!(!text.contains("null"));
    }

    #[test]
    fn every_key_says_what_it_is_for() {
        fn walk(path: &str, schema: &Json) {
            for (key, value) in schema["properties"].as_object().into_iter().flatten() {
                let here = format!("{path}.{key}");
                assert!(words(&value["description"]).len() > 4, "{here} has no description");
                assert!(!words(&value["title"]).is_empty() || value["anyOf"].is_array(), "{here} has no title");
                for inner in [value, &value["additionalProperties"], &value["items"], &value["anyOf"][0]] {
                    walk(&here, inner);
                }
            }
        }
        walk("", &json());
    }
}
