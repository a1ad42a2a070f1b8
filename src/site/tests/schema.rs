//! The schema and the parser must agree.

use regex_lite::Regex;
use serde_json::{Value, json};

use super::{
    BASE, EXAMPLE,
    cases::{CASES, changed},
};
use crate::site::{self, Code};

/// TOML as JSON tools see it: dates are text.
fn as_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(s) => json!(s),
        toml::Value::Integer(n) => json!(n),
        toml::Value::Float(n) => json!(n),
        toml::Value::Boolean(b) => json!(b),
        toml::Value::Datetime(d) => json!({ "date": d.to_string() }),
        toml::Value::Array(a) => a.iter().map(as_json).collect(),
        toml::Value::Table(t) => {
            t.iter().map(|(k, v)| (k.clone(), as_json(v))).collect::<serde_json::Map<_, _>>().into()
        }
    }
}

/// What of a value a schema refuses. Knows the words of JSON Schema that ours uses, and refuses to guess at others.
fn refused(path: &str, value: &Value, schema: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let no = |why: &str| vec![format!("{path}: {why}")];
    // JSON has no dates: a TOML date stands for a text with that format.
    if schema["format"] == "date" {
        return if value["date"].is_string() { wrong } else { no("is no date") };
    }
    for (word, rule) in schema.as_object().expect("a schema is an object") {
        match word.as_str() {
            "type" => {
                let right = match rule.as_str() {
                    Some("object") => value.is_object() && value["date"].is_null(),
                    Some("array") => value.is_array(),
                    Some("string") => value.is_string(),
                    Some("boolean") => value.is_boolean(),
                    Some("integer") => value.is_i64() || value.is_u64(),
                    other => panic!("type {other:?} at {path}"),
                };
                if !right {
                    return no(&format!("is no {rule}"));
                }
            }
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    match rule.get(key) {
                        Some(schema) => wrong.extend(refused(&format!("{path}.{key}"), value, schema)),
                        None => wrong.extend(no(&format!("{key} is unknown"))),
                    }
                }
                assert_eq!(schema["additionalProperties"], json!(false), "{path}");
            }
            "additionalProperties" if rule.is_object() => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    wrong.extend(refused(&format!("{path}.{key}"), value, rule));
                }
            }
            "additionalProperties" => assert!(schema["properties"].is_object(), "{path}"),
            "propertyNames" => {
                for key in value.as_object().into_iter().flatten().map(|(k, _)| k) {
                    wrong.extend(refused(&format!("{path}.{key}"), &json!(key), rule));
                }
            }
            "required" => {
                for key in rule.as_array().expect("a list").iter().filter_map(Value::as_str) {
                    if value.get(key).is_none() {
                        wrong.extend(no(&format!("{key} is missing")));
                    }
                }
            }
            "items" => {
                for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                    wrong.extend(refused(&format!("{path}[{i}]"), value, rule));
                }
            }
            "anyOf" | "oneOf" => {
                let of = rule.as_array().expect("a list");
                if of.iter().all(|schema| !refused(path, value, schema).is_empty()) {
                    wrong.extend(no("is none of the choices"));
                }
            }
            "const" if value != rule => wrong.extend(no("is another word")),
            "enum" if !rule.as_array().expect("a list").contains(value) => wrong.extend(no("is none of the words")),
            "minimum" if value.as_i64() < rule.as_i64() => wrong.extend(no("is too small")),
            "maximum" if value.as_i64() > rule.as_i64() => wrong.extend(no("is too large")),
            "pattern" => {
                let pattern = Regex::new(rule.as_str().expect("a text")).expect("a pattern");
                if !value.as_str().is_some_and(|text| pattern.is_match(text)) {
                    wrong.extend(no(&format!("does not match {rule}")));
                }
            }
            "minLength" if value.as_str().map(|s| s.chars().count() as u64) < rule.as_u64() => {
                wrong.extend(no("is too short"));
            }
            "maxLength" if value.as_str().map(|s| s.chars().count() as u64) > rule.as_u64() => {
                wrong.extend(no("is too long"));
            }
            // Words for people, and rules that were kept.
            "title" | "description" | "$schema" | "format" | "const" | "enum" | "minimum" | "maximum" | "minLength"
            | "maxLength" => {}
            other => panic!("the schema uses {other}, which this test does not know"),
        }
    }
    wrong
}

fn refused_by_schema(text: &str) -> Vec<String> {
    let value: toml::Table = text.parse().expect("TOML");
    refused("", &as_json(&toml::Value::Table(value)), &site::schema())
}

#[test]
fn the_schema_accepts_what_the_parser_accepts() {
    assert_eq!(refused_by_schema(BASE), Vec::<String>::new());
    assert_eq!(refused_by_schema(EXAMPLE), Vec::<String>::new());
}

#[test]
fn the_schema_refuses_what_is_wrong_by_itself() {
    for case in CASES {
        // What needs a look at another place, or at more than a pattern, is the parser's alone.
        let alone = matches!(
            case.0,
            Code::UnknownKey
                | Code::WrongType
                | Code::BadId
                | Code::BadChoice
                | Code::BadNumber
                | Code::BadSize
                | Code::BadRate
                | Code::BadDuration
                | Code::UrlScheme
                | Code::UrlPassword
                | Code::UrlHost
                | Code::BadDisk
                | Code::BadMac
                | Code::BadSchedule
                | Code::BadClock
                | Code::SecretKey
        );
        if alone {
            assert!(!refused_by_schema(&changed(case)).is_empty(), "{case:?}");
        }
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let page = include_str!("../../../docs/ref/site.md");
    let tables = page.split_once("<!-- vocabulary -->\n").expect("the page has the mark").1;
    assert!(
        tables.trim() == site::reference().trim(),
        "docs/ref/site.md: replace what follows the mark by the output of `custodian schema --markdown`"
    );
}
