//! Reading a catalog: sections of texts, flattened to `section.name`.

use std::collections::BTreeMap;

/// Texts by key.
pub(super) type Catalog = BTreeMap<String, String>;

/// Reads a catalog that was compiled in. What is not a text is left out; the tests see that there is nothing such.
pub(super) fn parse(text: &str) -> Catalog {
    let mut catalog = Catalog::new();
    match text.parse::<toml::Table>() {
        Ok(table) => flatten("", &table, &mut catalog),
        Err(e) => log::error!("a catalog of texts cannot be read: {e}"),
    }
    catalog
}

fn flatten(prefix: &str, table: &toml::Table, catalog: &mut Catalog) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, catalog),
            toml::Value::String(text) => {
                catalog.insert(key, text.clone());
            }
            _ => log::error!("the catalog's {key} is not a text"),
        }
    }
}
