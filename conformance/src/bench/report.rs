//! The page of figures: one line per query, the geometric means, and what the process costs. Times are never shown
//! without the peer's time from the same run.

use crate::tally::Tally;
use std::time::Duration;

/// The fastest run of one task on each engine.
pub struct Measured {
    pub tarn: Duration,
    pub datafusion: Option<Duration>,
    pub duckdb: Duration,
    pub rows: usize,
    /// Why the results are not equal, when they are not.
    pub disagreement: Option<String>,
}

impl Measured {
    fn to_datafusion(&self) -> Option<f64> {
        self.datafusion.map(|datafusion| self.tarn.as_secs_f64() / datafusion.as_secs_f64())
    }

    fn to_duckdb(&self) -> f64 {
        self.tarn.as_secs_f64() / self.duckdb.as_secs_f64()
    }
}

/// One of our own tasks against another one.
struct Task {
    name: String,
    took: Duration,
    peer: String,
    peer_took: Duration,
    disagreement: Option<String>,
}

/// A figure that no peer has.
struct Figure {
    name: String,
    value: String,
    right: bool,
}

pub struct Report {
    scale: f64,
    runs: u32,
    pub versions: String,
    queries: Vec<(u32, Measured)>,
    tpcds: Vec<(u32, Measured)>,
    ctas: Option<Measured>,
    tasks: Vec<Task>,
    figures: Vec<Figure>,
    pub start: Duration,
    pub idle_bytes: u64,
    pub peak_bytes: u64,
}

impl Report {
    pub fn new(scale: f64, runs: u32) -> Report {
        Report {
            scale,
            runs,
            versions: String::new(),
            queries: Vec::new(),
            tpcds: Vec::new(),
            ctas: None,
            tasks: Vec::new(),
            figures: Vec::new(),
            start: Duration::ZERO,
            idle_bytes: 0,
            peak_bytes: 0,
        }
    }

    /// The tables below that of TPC-H.
    fn others(&self, page: &mut String) {
        if !self.tpcds.is_empty() {
            page.push_str(
                "\n| TPC-DS | rows | Tarn | | DuckDB | | Tarn / DuckDB |\n|---|--:|--:|--:|--:|--:|--:|\n",
            );
            for (number, measured) in &self.tpcds {
                page.push_str(&format!("{}\n", line(&format!("DS{number}"), measured)));
            }
            let equal = self.tpcds.iter().filter(|(_, measured)| measured.disagreement.is_none());
            let mean = geometric_mean(equal.map(|(_, measured)| measured.to_duckdb()));
            page.push_str(&format!("| geometric mean | | | | | | {mean:.2} |\n"));
        }
        if !self.tasks.is_empty() {
            page.push_str("\n| task | ms | against | ms | ratio |\n|---|--:|---|--:|--:|\n");
            self.tasks.iter().for_each(|task| page.push_str(&format!("{}\n", task.line())));
        }
        if !self.figures.is_empty() {
            page.push_str("\n| figure | |\n|---|--:|\n");
            self.figures.iter().for_each(|figure| page.push_str(&format!("{}\n", figure.line())));
        }
    }

    /// Takes a measurement and gives its line.
    pub fn add_query(&mut self, number: u32, measured: Measured) -> String {
        let line = line(&format!("Q{number}"), &measured);
        self.queries.push((number, measured));
        line
    }

    pub fn set_ctas(&mut self, measured: Measured) -> String {
        let line = line("CTAS lineitem", &measured);
        self.ctas = Some(measured);
        line
    }

    pub fn add_tpcds(&mut self, number: u32, measured: Measured) -> String {
        let line = line(&format!("DS{number}"), &measured);
        self.tpcds.push((number, measured));
        line
    }

    pub fn add_task(
        &mut self,
        name: &str,
        took: Duration,
        peer: &str,
        peer_took: Duration,
        disagreement: Option<String>,
    ) -> String {
        let (name, peer) = (name.to_string(), peer.to_string());
        let task = Task { name, took, peer, peer_took, disagreement };
        let line = task.line();
        self.tasks.push(task);
        line
    }

    pub fn add_figure(&mut self, name: &str, value: String, right: bool) -> String {
        let figure = Figure { name: name.to_string(), value, right };
        let line = figure.line();
        self.figures.push(figure);
        line
    }

    /// A task passes when all engines gave the same result.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        let queries = self.queries.iter().chain(&self.tpcds).map(|(_, measured)| measured);
        queries.chain(&self.ctas).for_each(|measured| tally.add(measured.disagreement.is_none()));
        self.tasks.iter().for_each(|task| tally.add(task.disagreement.is_none()));
        self.figures.iter().for_each(|figure| tally.add(figure.right));
        tally
    }

    pub fn page(&self) -> String {
        let mut page = format!(
            "# TPC-H at scale {}, the fastest of {} runs, in milliseconds\n\n\
             Tarn through psql on Iceberg tables made of the same Parquet files that plain DataFusion and DuckDB read \
             in their own process, in the same run, with equal results. {}.\n\n\
             | task | rows | Tarn | DataFusion | DuckDB | Tarn / DataFusion | Tarn / DuckDB |\n\
             |---|--:|--:|--:|--:|--:|--:|\n",
            self.scale, self.runs, self.versions
        );
        for (number, measured) in &self.queries {
            page.push_str(&format!("{}\n", line(&format!("Q{number}"), measured)));
        }
        let to_datafusion = geometric_mean(self.queries.iter().filter_map(|(_, m)| m.to_datafusion()));
        let to_duckdb = geometric_mean(self.queries.iter().map(|(_, m)| m.to_duckdb()));
        page.push_str(&format!("| geometric mean | | | | | {to_datafusion:.2} | {to_duckdb:.2} |\n"));
        if let Some(ctas) = &self.ctas {
            page.push_str(&format!("{}\n", line("CTAS lineitem (DuckDB: COPY to Parquet, zstd)", ctas)));
        }
        page.push_str(&format!(
            "\n| process | |\n|---|--:|\n\
             | start to the first answer | {:.0} ms |\n| memory when idle | {:.0} MiB |\n| peak memory | {:.0} MiB |\n",
            milliseconds(self.start),
            mebibytes(self.idle_bytes),
            mebibytes(self.peak_bytes)
        ));
        self.others(&mut page);
        let named = |letters: &'static str| {
            move |(number, measured): &(u32, Measured)| {
                let disagreement = measured.disagreement.as_ref()?;
                Some(format!("\n{letters}{number} is NOT equal: {disagreement}\n"))
            }
        };
        page.extend(self.queries.iter().filter_map(named("Q")));
        page.extend(self.tpcds.iter().filter_map(named("DS")));
        page
    }
}

impl Task {
    fn line(&self) -> String {
        let wrong = self.disagreement.as_ref().map_or(String::new(), |why| format!(" WRONG: {why}"));
        let (took, peer) = (milliseconds(self.took), milliseconds(self.peer_took));
        let ratio = took / peer;
        format!("| {}{wrong} | {took:.1} | {} | {peer:.1} | {ratio:.2} |", self.name, self.peer)
    }
}

impl Figure {
    fn line(&self) -> String {
        format!("| {}{} | {} |", self.name, if self.right { "" } else { " WRONG" }, self.value)
    }
}

fn line(task: &str, measured: &Measured) -> String {
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_string());
    let datafusion = or_none(measured.datafusion.map(|time| format!("{:.1}", milliseconds(time))));
    let to_datafusion = or_none(measured.to_datafusion().map(|ratio| format!("{ratio:.2}")));
    let wrong = if measured.disagreement.is_some() { " NOT EQUAL" } else { "" };
    format!(
        "| {task}{wrong} | {} | {:.1} | {datafusion} | {:.1} | {to_datafusion} | {:.2} |",
        measured.rows,
        milliseconds(measured.tarn),
        milliseconds(measured.duckdb),
        measured.to_duckdb()
    )
}

fn geometric_mean(ratios: impl Iterator<Item = f64>) -> f64 {
    let logarithms: Vec<f64> = ratios.map(f64::ln).collect();
    (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_ratios_and_says_what_is_not_equal() {
        let measured = |tarn, disagreement: Option<&str>| Measured {
            tarn: Duration::from_millis(tarn),
            datafusion: Some(Duration::from_millis(100)),
            duckdb: Duration::from_millis(50),
            rows: 4,
            disagreement: disagreement.map(str::to_string),
        };
        let mut report = Report::new(1.0, 3);
        report.add_query(1, measured(200, None));
        report.add_query(2, measured(50, Some("row 0")));
        assert_eq!(report.tally(), Tally { passed: 1, failed: 1 });
        let page = report.page();
        assert!(page.contains("| Q1 | 4 | 200.0 | 100.0 | 50.0 | 2.00 | 4.00 |"), "{page}");
        assert!(page.contains("| geometric mean | | | | | 1.00 | 2.00 |"), "{page}");
        assert!(page.contains("Q2 is NOT equal: row 0"), "{page}");
    }
}
