//! From TOML to the raw tables: a reader that collects every mistake instead of stopping at the first.
//!
//! [`table!`](super::read::table) declares a table once: its keys, their types, what is required, and what each is for.
//! The reader, the JSON Schema and the reference page all come from that declaration, so they cannot disagree.

use serde_json::json;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    problem::{Code, Problem},
    source::Bytes,
};

/// Something, and where in the file it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: Bytes,
}

/// A value of the file.
pub(super) type Node<'a> = Spanned<DeValue<'a>>;

/// What can be read from a value. `named` is where the value's name stands (a key, a header), for what is wrong with it
/// as a whole.
pub(super) trait Value: Sized {
    /// Reads it, or says why not.
    fn read(node: &Node<'_>, named: &Bytes, r: &mut Reader) -> Option<Self>;
    /// As a JSON Schema (draft 2020-12), `title` being the type in words.
    fn schema() -> serde_json::Value;
}

/// What a name in a table of many may be: an identifier.
pub(super) trait Name: Sized + Ord + std::fmt::Display {
    fn parse(text: &str) -> Option<Self>;
}

/// Mistakes found so far, and the path of where we are.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    /// Keys that the file uses and this version does not carry out yet.
    pub(super) later: Vec<At<String>>,
    path: Vec<String>,
}

impl Reader {
    /// `camera.gate-1.main`
    pub(super) fn path(&self) -> String {
        self.path.join(".")
    }

    pub(super) fn problem(&self, code: Code, at: &Bytes) -> Problem {
        Problem::new(code, at.clone(), self.path())
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reads with `name` added to the path.
    pub(super) fn within<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let value = read(self);
        self.path.pop();
        value
    }

    fn indexed<T: Value>(&mut self, index: usize, node: &Node<'_>, named: &Bytes) -> Option<At<T>> {
        let plain = self.path.last().cloned().unwrap_or_default();
        if let Some(last) = self.path.last_mut() {
            *last = format!("{plain}[{index}]");
        }
        let value = T::read(node, named, self);
        if let Some(last) = self.path.last_mut() {
            *last = plain;
        }
        Some(At { value: value?, at: node.span() })
    }

    /// The value is of another type than it should be.
    pub(super) fn wrong_type(&mut self, node: &Node<'_>, wanted: &'static str) {
        let found = match node.get_ref() {
            DeValue::String(_) => "@text",
            DeValue::Integer(_) => "@number",
            DeValue::Float(_) => "@fraction",
            DeValue::Boolean(_) => "@boolean",
            DeValue::Datetime(_) => "@date",
            DeValue::Array(_) => "@list",
            DeValue::Table(_) => "@table",
        };
        let problem = self.problem(Code::WrongType, &node.span()).with("wanted", wanted).with("found", found);
        self.report(problem);
    }

    pub(super) fn text<'a>(&mut self, node: &'a Node<'_>) -> Option<&'a str> {
        let text = node.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(node, "@text");
        }
        text
    }

    pub(super) fn table<'a, 'i>(&mut self, node: &'a Node<'i>) -> Option<&'a DeTable<'i>> {
        let table = node.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(node, "@table");
        }
        table
    }

    pub(super) fn field<T: Value>(
        &mut self,
        key: &Spanned<DeString<'_>>,
        later: bool,
        node: &Node<'_>,
    ) -> Option<At<T>> {
        self.within(key.get_ref(), |r| {
            if later {
                let path = r.path();
                r.later.push(At { value: path, at: key.span() });
            }
            Some(At { value: T::read(node, &key.span(), r)?, at: node.span() })
        })
    }

    pub(super) fn unknown(&mut self, key: &Spanned<DeString<'_>>, known: &[&'static str]) {
        let table = self.path();
        let problem = self.within(key.get_ref(), |r| r.problem(Code::UnknownKey, &key.span()));
        let table = if table.is_empty() { "@file".to_owned() } else { format!("[{table}]") };
        let problem = problem.with("name", key.get_ref()).with("table", table).with("known", known.join(", "));
        self.report(problem.near(key.get_ref(), known.iter().copied()));
    }

    pub(super) fn missing(&mut self, name: &str, named: &Bytes) {
        let table = self.path();
        let code = match (table.as_str(), name) {
            ("", "camera") => Code::NoCamera,
            ("", "recorder") => Code::NoRecorder,
            _ => Code::MissingKey,
        };
        let problem = self.within(name, |r| r.problem(code, named));
        // Written with a slip, and said there.
        let meant = |p: &Problem| {
            p.nearest.as_deref() == Some(name) && p.code == Code::UnknownKey && parent(&p.key) == table.as_str()
        };
        if self.problems.iter().any(meant) {
            return;
        }
        let table = if table.is_empty() { "@file".to_owned() } else { format!("[{table}]") };
        self.report(problem.with("name", name).with("table", table));
    }
}

/// `camera.gate-1` of `camera.gate-1.main`. A key with a dot of its own is cut short, which costs only a hint.
fn parent(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(table, _)| table)
}

/// Keys of a table in the order in which they stand in the file.
pub(super) fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Spanned<DeString<'i>>, &'a Node<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Declares raw tables: `required`, `optional` or `later` (optional; accepted, not carried out yet), the key, its type.
macro_rules! table {
    ($($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $need:ident $field:ident: $ty:ty,)* })*) => {$(
        $(#[doc = $about])+
        #[derive(Debug, Default)]
        pub(super) struct $name {
            $($(#[doc = $doc])+ pub(super) $field: Option<$crate::site::read::At<$ty>>,)*
        }

        impl $crate::site::read::Value for $name {
            fn read(
                node: &$crate::site::read::Node<'_>,
                named: &$crate::site::source::Bytes,
                r: &mut $crate::site::read::Reader,
            ) -> Option<Self> {
                let table = r.table(node)?;
                let mut this = Self::default();
                for (key, value) in $crate::site::read::in_order(table) {
                    match key.get_ref().as_ref() {
                        $(stringify!($field) => {
                            this.$field = r.field(key, $crate::site::read::need(stringify!($need)).1, value);
                        })*
                        _ => r.unknown(key, &[$(stringify!($field)),*]),
                    }
                }
                $(if $crate::site::read::need(stringify!($need)).0 && !table.contains_key(stringify!($field)) {
                    r.missing(stringify!($field), named);
                })*
                Some(this)
            }

            fn schema() -> serde_json::Value {
                let mut properties = serde_json::Map::new();
                let mut required: Vec<&str> = Vec::new();
                $({
                    let (is_required, later) = $crate::site::read::need(stringify!($need));
                    if is_required {
                        required.push(stringify!($field));
                    }
                    let about = concat!($($doc),+);
                    let schema = <$ty as $crate::site::read::Value>::schema();
                    properties.insert(stringify!($field).to_owned(), $crate::site::read::described(schema, about, later));
                })*
                let mut schema = serde_json::json!({
                    "title": "table",
                    "description": concat!($($about),+).trim(),
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": false,
                    // As declared; JSON objects have no order. Taken out before the schema is handed out.
                    "order": [$(stringify!($field)),*],
                });
                if !required.is_empty() {
                    schema["required"] = serde_json::json!(required);
                }
                schema
            }
        }
    )*};
}
pub(super) use table;

/// (required, not carried out yet) for the words of [`table!`].
pub(super) fn need(word: &str) -> (bool, bool) {
    (word == "required", word == "later")
}

/// The schema of a key with what the key is for.
pub(super) fn described(mut schema: serde_json::Value, about: &str, later: bool) -> serde_json::Value {
    let later = if later { " (Accepted and checked; not carried out by this version.)" } else { "" };
    schema["description"] = json!(format!("{}{later}", about.trim()));
    schema
}

/// Named tables of one kind, `[camera.<id>]`, in the order of the file.
#[derive(Debug)]
pub(super) struct Named<K, T>(pub(super) Vec<(At<K>, T)>);

impl<K, T> Default for Named<K, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Name, T: Value> Value for Named<K, T> {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let mut all = Vec::new();
        for (key, value) in in_order(r.table(node)?) {
            r.within(key.get_ref(), |r| {
                let name = K::parse(key.get_ref());
                if name.is_none() {
                    let problem = r.problem(Code::BadId, &key.span()).with("found", key.get_ref());
                    r.report(problem);
                }
                let table = T::read(value, &key.span(), r);
                if let (Some(name), Some(table)) = (name, table) {
                    all.push((At { value: name, at: key.span() }, table));
                }
            });
        }
        Some(Self(all))
    }

    fn schema() -> serde_json::Value {
        json!({
            "title": "tables by identifier",
            "type": "object",
            "propertyNames": { "pattern": super::values::ID_PATTERN },
            "additionalProperties": T::schema(),
        })
    }
}

impl<T: Value> Value for Vec<At<T>> {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let Some(array) = node.get_ref().as_array() else {
            r.wrong_type(node, "@list");
            return None;
        };
        let all: Vec<Option<At<T>>> =
            array.iter().enumerate().map(|(i, node)| r.indexed(i, node, &node.span())).collect();
        all.into_iter().collect()
    }

    fn schema() -> serde_json::Value {
        let items = T::schema();
        let title = format!("list of {}", items["title"].as_str().unwrap_or_default());
        json!({ "title": title, "type": "array", "items": items })
    }
}

/// A list of tables that may be written as one table when there is one.
#[derive(Debug)]
pub(super) struct OneOrMore<T>(pub(super) Vec<At<T>>);

impl<T: Value> Value for OneOrMore<T> {
    fn read(node: &Node<'_>, named: &Bytes, r: &mut Reader) -> Option<Self> {
        if node.get_ref().is_table() {
            return Some(Self(vec![At { value: T::read(node, named, r)?, at: node.span() }]));
        }
        Value::read(node, named, r).map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "one table or several", "anyOf": [T::schema(), Vec::<At<T>>::schema()] })
    }
}

impl Value for bool {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let value = node.get_ref().as_bool();
        if value.is_none() {
            r.wrong_type(node, "@boolean");
        }
        value
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "true or false", "type": "boolean" })
    }
}
