//! Families of metrics as text: OpenMetrics 1.0 (<https://github.com/prometheus/OpenMetrics>, specification/OpenMetrics.md) and Prometheus' text
//! format 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::Write as _;

/// Which of the two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that an `Accept` header prefers (RFC 9110, 12.5.1); the older one where it does not name OpenMetrics 1.0.
    pub fn asked(accept: Option<&str>) -> Self {
        let (mut openmetrics, mut text) = (0.0_f32, 0.0_f32);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0, None);
            for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                let value = value.trim().trim_matches('"');
                match key.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.parse().unwrap_or(0.0),
                    "version" => version = Some(value),
                    _ => {}
                }
            }
            match (media.as_str(), version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => openmetrics = openmetrics.max(quality),
                ("text/plain", _) => text = text.max(quality),
                _ => {}
            }
        }
        if openmetrics > 0.0 && openmetrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Goes up only, or begins anew.
    Counter,
    /// Words as labels; its value is 1.
    Info,
}

/// Units that OpenMetrics is told: those that Prometheus calls base units.
const UNITS: [&str; 3] = ["seconds", "bytes", "celsius"];

/// Metrics of one name.
#[derive(Debug)]
pub(super) struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Family {
    /// One without samples yet, of which nothing is written. `name` is without `_total` and `_info`; a unit stands at its end.
    pub(super) fn new(kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self { name, kind, help, samples: Vec::new() }
    }

    /// With a sample, unless its value is not known. The labels of no two may be equal.
    pub(super) fn with<const N: usize>(
        mut self,
        labels: [(&'static str, String); N],
        value: impl Into<Option<f64>>,
    ) -> Self {
        if let Some(value) = value.into().filter(|v| v.is_finite()) {
            // A counter below zero is one that OpenMetrics forbids.
            let value = if self.kind == Kind::Counter { value.max(0.0) } else { value };
            self.samples.push((labels.into(), value));
        }
        self
    }

    /// Its name without suffix.
    #[cfg(test)]
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The unit; none: it is a count, a ratio or a word.
    pub(super) fn unit(&self) -> Option<&'static str> {
        UNITS.into_iter().find(|unit| self.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
    }

    /// Name of its samples, and of the whole family in the older format.
    pub(super) fn sample_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Gauge => "",
            Kind::Counter => "_total",
            Kind::Info => "_info",
        };
        format!("{}{suffix}", self.name)
    }

    /// Its type as the format names it.
    pub(super) fn kind(&self, format: Format) -> &'static str {
        match (self.kind, format) {
            (Kind::Counter, _) => "counter",
            (Kind::Info, Format::OpenMetrics) => "info",
            // The older format has no info.
            (Kind::Gauge | Kind::Info, _) => "gauge",
        }
    }

    fn write(&self, to: &mut String, format: Format) {
        let sample = self.sample_name();
        let family = if format == Format::OpenMetrics { self.name } else { sample.as_str() };
        line(to, format_args!("# TYPE {family} {}", self.kind(format)));
        if let (Format::OpenMetrics, Some(unit)) = (format, self.unit()) {
            line(to, format_args!("# UNIT {family} {unit}"));
        }
        line(to, format_args!("# HELP {family} {}", escape(self.help, format == Format::OpenMetrics)));
        for (labels, value) in &self.samples {
            let labels: Vec<_> =
                labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escape(text, true))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            line(to, format_args!("{sample}{labels} {value}"));
        }
    }
}

/// Lines end with LF, in both.
fn line(to: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(to, "{text}");
}

/// A text as label values have it, and OpenMetrics' help too; the older format's help has quotes as they are.
fn escape(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

/// All families that have a sample.
pub(super) fn write(families: &[Family], format: Format) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|f| !f.samples.is_empty()) {
        family.write(&mut text, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}
