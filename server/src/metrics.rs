//! What the process counts, for Prometheus. There is no global: each server has its own, so that several can run in one
//! process. Doors count; `http.rs` shows.

use std::time::{Duration, Instant};

use ::metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tarn_sql::{CacheFigures, ColumnFigures};

/// Upper bounds of the buckets of statement times, seconds.
const STATEMENT_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

const METADATA: Metadata<'static> = Metadata::new("tarn", Level::INFO, None);

/// The words that statements are counted under; any other first word is `other`, so that clients cannot make more.
const KINDS: &[&str] = &[
    "select",
    "with",
    "values",
    "table",
    "insert",
    "update",
    "delete",
    "merge",
    "create",
    "alter",
    "drop",
    "truncate",
    "comment",
    "grant",
    "revoke",
    "call",
    "copy",
    "explain",
    "show",
    "describe",
    "set",
    "reset",
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "discard",
    "deallocate",
];

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Done,
    Failed,
    Cancelled,
}

impl Ending {
    fn label(self) -> &'static str {
        match self {
            Ending::Done => "ok",
            Ending::Failed => "error",
            Ending::Cancelled => "cancelled",
        }
    }
}

/// The figures of one server.
pub struct Metrics {
    recorder: PrometheusRecorder,
    pub connections: Gauge,
    pub connections_total: Counter,
    pub logins_refused: Counter,
    pub rows_sent: Counter,
    pub bytes_sent: Counter,
    memory_used: Gauge,
    memory_limit: Gauge,
    catalog_sequence: Gauge,
    resident: Gauge,
}

/// What is looked up when somebody asks.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub memory_used_bytes: usize,
    pub memory_limit_bytes: usize,
    pub catalog_sequence: u64,
    pub cache: CacheFigures,
    pub columns: ColumnFigures,
}

impl Metrics {
    pub fn new() -> Metrics {
        let seconds = Matcher::Full("tarn_statement_seconds".to_owned());
        let requests = Matcher::Full("tarn_rest_seconds".to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(seconds, STATEMENT_SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(requests, STATEMENT_SECONDS))
            .expect("there are buckets")
            .build_recorder();
        describe(&recorder);
        let gauge = |name: &'static str| recorder.register_gauge(&Key::from_static_name(name), &METADATA);
        let counter = |name: &'static str| recorder.register_counter(&Key::from_static_name(name), &METADATA);
        Metrics {
            connections: gauge("tarn_connections"),
            connections_total: counter("tarn_connections_total"),
            logins_refused: counter("tarn_logins_refused_total"),
            rows_sent: counter("tarn_rows_sent_total"),
            bytes_sent: counter("tarn_bytes_sent_total"),
            memory_used: gauge("tarn_memory_pool_used_bytes"),
            memory_limit: gauge("tarn_memory_pool_limit_bytes"),
            catalog_sequence: gauge("tarn_catalog_commit_sequence"),
            resident: gauge("tarn_process_resident_memory_bytes"),
            recorder,
        }
    }

    /// Counts a statement and its time.
    pub fn statement(&self, kind: &'static str, ending: Ending, time: Duration) {
        let kind = Label::from_static_parts("kind", kind);
        let labels = vec![kind.clone(), Label::from_static_parts("outcome", ending.label())];
        self.recorder
            .register_counter(&Key::from_parts("tarn_statements_total", labels), &METADATA)
            .increment(1);
        let key = Key::from_parts("tarn_statement_seconds", vec![kind]);
        let seconds: Histogram = self.recorder.register_histogram(&key, &METADATA);
        seconds.record(time.as_secs_f64());
    }

    /// Counts a request of the Iceberg REST door and its time.
    pub fn request(&self, operation: &'static str, status: u16, time: Duration) {
        let operation = Label::from_static_parts("operation", operation);
        let labels = vec![operation.clone(), Label::new("status", status.to_string())];
        self.recorder
            .register_counter(&Key::from_parts("tarn_rest_requests_total", labels), &METADATA)
            .increment(1);
        let key = Key::from_parts("tarn_rest_seconds", vec![operation]);
        let seconds: Histogram = self.recorder.register_histogram(&key, &METADATA);
        seconds.record(time.as_secs_f64());
    }

    /// The cache of decoded footers, manifests and deletes.
    fn cache(&self, figures: &CacheFigures) {
        for (kind, bytes) in figures.bytes {
            let labels = vec![Label::from_static_parts("kind", kind)];
            let key = Key::from_parts("tarn_metadata_cache_bytes", labels);
            self.recorder.register_gauge(&key, &METADATA).set(float(bytes));
        }
        let limit = Key::from_static_name("tarn_metadata_cache_limit_bytes");
        self.recorder.register_gauge(&limit, &METADATA).set(float(figures.bytes_max));
        for (outcome, count) in [("hit", figures.hits), ("miss", figures.misses)] {
            let labels = vec![Label::from_static_parts("outcome", outcome)];
            let key = Key::from_parts("tarn_metadata_cache_lookups_total", labels);
            self.recorder.register_counter(&key, &METADATA).absolute(count);
        }
    }

    /// The decoded columns that are kept.
    fn columns(&self, figures: &ColumnFigures) {
        for (name, value) in [
            ("tarn_column_cache_bytes", figures.bytes),
            ("tarn_column_cache_limit_bytes", figures.bytes_max),
            ("tarn_column_cache_chunks", figures.chunks),
        ] {
            self.recorder.register_gauge(&Key::from_static_name(name), &METADATA).set(float(value));
        }
        for (outcome, count) in [("hit", figures.hits), ("miss", figures.misses)] {
            let labels = vec![Label::from_static_parts("outcome", outcome)];
            let key = Key::from_parts("tarn_column_cache_lookups_total", labels);
            self.recorder.register_counter(&key, &METADATA).absolute(count);
        }
        let evictions = Key::from_static_name("tarn_column_cache_evictions_total");
        self.recorder.register_counter(&evictions, &METADATA).absolute(figures.evictions);
    }

    /// All figures in Prometheus's text format.
    pub fn render(&self, figures: Figures) -> String {
        self.memory_used.set(float(figures.memory_used_bytes));
        self.memory_limit.set(float(figures.memory_limit_bytes));
        self.catalog_sequence.set(float(figures.catalog_sequence));
        self.cache(&figures.cache);
        self.columns(&figures.columns);
        if let Some(bytes) = resident_bytes() {
            self.resident.set(float(bytes));
        }
        let handle: PrometheusHandle = self.recorder.handle();
        handle.run_upkeep();
        handle.render()
    }
}

/// Counts a statement when it is dropped, however it ends.
pub struct Timer<'a> {
    metrics: &'a Metrics,
    kind: &'static str,
    started: Instant,
    /// What to count it as; a statement whose client goes away stays [`Ending::Cancelled`].
    pub ending: Ending,
}

impl<'a> Timer<'a> {
    pub fn start(metrics: &'a Metrics, text: &str) -> Timer<'a> {
        Timer { metrics, kind: kind(text), started: Instant::now(), ending: Ending::Cancelled }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.metrics.statement(self.kind, self.ending, self.started.elapsed());
    }
}

fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        ("tarn_connections_total", "Client connections that have been opened."),
        ("tarn_logins_refused_total", "Client connections that ended before or at login."),
        ("tarn_rows_sent_total", "Rows sent to clients."),
        ("tarn_bytes_sent_total", "Bytes sent to clients."),
        ("tarn_statements_total", "Statements, by kind and outcome."),
        ("tarn_rest_requests_total", "Requests of the Iceberg REST door, by operation and status."),
        ("tarn_metadata_cache_lookups_total", "Lookups of decoded metadata files, by outcome."),
        ("tarn_column_cache_lookups_total", "Lookups of decoded column chunks, by outcome."),
        ("tarn_column_cache_evictions_total", "Decoded column chunks that others or operators pushed out."),
    ];
    for (name, text) in counters {
        recorder.describe_counter(name.into(), None, text.into());
    }
    let gauges = [
        ("tarn_connections", "Client connections that are open."),
        ("tarn_memory_pool_used_bytes", "Memory that running statements have reserved."),
        ("tarn_memory_pool_limit_bytes", "Memory that running statements may reserve together."),
        ("tarn_catalog_commit_sequence", "Position of the newest commit of the catalog."),
        ("tarn_process_resident_memory_bytes", "Resident memory of the process."),
        ("tarn_metadata_cache_bytes", "Decoded footers, manifests and deletes that are kept, by kind."),
        ("tarn_metadata_cache_limit_bytes", "What decoded metadata files may take together."),
        ("tarn_column_cache_bytes", "Decoded columns of tables that are kept."),
        ("tarn_column_cache_limit_bytes", "What decoded columns may take together."),
        ("tarn_column_cache_chunks", "Decoded column chunks that are kept."),
    ];
    for (name, text) in gauges {
        recorder.describe_gauge(name.into(), None, text.into());
    }
    recorder.describe_histogram("tarn_statement_seconds".into(), None, "Time of statements, by kind.".into());
    let requests = "Time of requests of the Iceberg REST door, by operation.";
    recorder.describe_histogram("tarn_rest_seconds".into(), None, requests.into());
}

/// The word that a statement is counted under.
pub fn kind(text: &str) -> &'static str {
    let word =
        text.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
    KINDS.iter().find(|kind| kind.eq_ignore_ascii_case(word)).copied().unwrap_or("other")
}

/// Counts of bytes and commits are far below where a float loses whole numbers.
fn float(value: impl TryInto<u64>) -> f64 {
    #[allow(clippy::cast_precision_loss)] // as said above
    let float = value.try_into().unwrap_or(u64::MAX) as f64;
    float
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes = line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_counted_by_kind_and_outcome() {
        let metrics = Metrics::new();
        metrics.statement(kind("select 1"), Ending::Done, Duration::from_millis(3));
        metrics.statement(kind("  SELECT 2"), Ending::Done, Duration::from_millis(3));
        metrics.statement(kind("(SELECT 2)"), Ending::Failed, Duration::from_millis(3));
        metrics.statement(kind("frobnicate"), Ending::Cancelled, Duration::from_millis(3));
        drop(Timer::start(&metrics, "select of a client that went away"));
        let mut bytes = [("other", 0); 7];
        bytes[0] = ("footers", 12);
        let cache = CacheFigures { bytes, bytes_max: 1000, hits: 3, misses: 4 };
        let columns = ColumnFigures { bytes: 77, hits: 5, ..ColumnFigures::default() };
        let figures =
            Figures { memory_used_bytes: 5, memory_limit_bytes: 10, catalog_sequence: 42, cache, columns };
        let text = metrics.render(figures);
        for line in [
            "tarn_statements_total{kind=\"select\",outcome=\"ok\"} 2",
            "tarn_statements_total{kind=\"select\",outcome=\"error\"} 1",
            "tarn_statements_total{kind=\"other\",outcome=\"cancelled\"} 1",
            "tarn_statements_total{kind=\"select\",outcome=\"cancelled\"} 1",
            "tarn_statement_seconds_bucket{kind=\"select\",le=\"0.005\"}",
            "tarn_memory_pool_used_bytes 5",
            "tarn_catalog_commit_sequence 42",
            "tarn_process_resident_memory_bytes",
            "tarn_metadata_cache_bytes{kind=\"footers\"} 12",
            "tarn_metadata_cache_limit_bytes 1000",
            "tarn_metadata_cache_lookups_total{outcome=\"miss\"} 4",
            "tarn_column_cache_bytes 77",
            "tarn_column_cache_lookups_total{outcome=\"hit\"} 5",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
