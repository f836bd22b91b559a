//! From the text of a script to its records. Pure; it knows neither server nor file system.

/// One script: its records with the lines they start at.
#[derive(Debug, PartialEq, Eq)]
pub struct Script {
    pub records: Vec<(usize, Record)>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Record {
    Statement {
        sql: String,
        expect: Expect,
    },
    Query {
        sql: String,
        types: Option<String>,
        order: Order,
        rows: Vec<String>,
    },
    /// Following records run as this user, on a connection that is kept by name.
    Connect {
        user: String,
        password: Option<String>,
    },
    /// A login that must be refused with this SQLSTATE.
    Refused {
        user: String,
        password: Option<String>,
        sqlstate: String,
    },
    Restart(Stop),
    /// Writes a small text file below `${TMP}`.
    File {
        name: String,
        content: String,
    },
    /// Makes one of the named binary files of `fixtures` below `${TMP}`.
    Fixture {
        name: String,
    },
    /// Keeps the one value that a query gives as the variable `${NAME}`.
    Keep {
        name: String,
        sql: String,
    },
    /// From here on no statement may change the catalog or leave a file in the warehouse.
    Freeze,
    /// The rest needs the shared data folder; without it the script ends here, saying so.
    NeedsShared,
    /// The rest is of the PostgreSQL protocol; over another one the script ends here.
    NeedsPostgres,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Terminate,
    Kill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    AsSent,
    Sorted,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Expect {
    Ok,
    /// The number in the command tag.
    Count(u64),
    Error {
        sqlstate: String,
        position: Option<u32>,
        message: String,
    },
}

impl Script {
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut lines = Lines { lines: text.lines().collect(), at: 0 };
        if !lines.peek().is_some_and(|line| line.starts_with("# ")) {
            return Err("line 1: a script opens with a sentence that says what it shows".to_string());
        }
        let mut records = Vec::new();
        while let Some((number, line)) = lines.next_record() {
            let record = parse_record(line, &mut lines).map_err(|error| format!("line {number}: {error}"))?;
            records.push((number, record));
        }
        if records.is_empty() {
            return Err("the script has no records".to_string());
        }
        Ok(Script { records })
    }
}

struct Lines<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Lines<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let line = self.peek()?;
        self.at += 1;
        Some(line)
    }

    /// The next line that is neither blank nor a comment, with its number.
    fn next_record(&mut self) -> Option<(usize, &'a str)> {
        while let Some(line) = self.next() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                return Some((self.at, line.trim()));
            }
        }
        None
    }

    /// Everything up to a line that `ends`, which is swallowed, or to the end of the file.
    fn until(&mut self, ends: impl Fn(&str) -> bool) -> Vec<&'a str> {
        let mut taken = Vec::new();
        while let Some(line) = self.next() {
            if ends(line) {
                break;
            }
            taken.push(line);
        }
        taken
    }
}

fn parse_record(line: &str, lines: &mut Lines) -> Result<Record, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "statement" => {
            let expect = parse_expect(rest)?;
            Ok(Record::Statement { sql: sql(lines.until(|line| line.trim().is_empty()))?, expect })
        }
        "query" => parse_query(rest, lines),
        "connect" => {
            let (user, password) = user_and_password(rest)?;
            Ok(Record::Connect { user, password })
        }
        "refused" => {
            let (sqlstate, login) = rest.split_once(' ').ok_or("refused SQLSTATE user[/password]")?;
            let (user, password) = user_and_password(login)?;
            Ok(Record::Refused { user, password, sqlstate: sqlstate.to_string() })
        }
        "restart" => Ok(Record::Restart(Stop::Terminate)),
        "kill" => Ok(Record::Restart(Stop::Kill)),
        "file" => {
            let content = lines.until(|line| line.trim() == "end of file");
            let content = content.iter().map(|line| format!("{line}\n")).collect();
            Ok(Record::File { name: rest.to_string(), content })
        }
        "fixture" => Ok(Record::Fixture { name: rest.to_string() }),
        "keep" if !rest.is_empty() => {
            let name = rest.to_string();
            Ok(Record::Keep { name, sql: sql(lines.until(|line| line.trim().is_empty()))? })
        }
        "freeze" => Ok(Record::Freeze),
        "needs" if rest == "shared" => Ok(Record::NeedsShared),
        "needs" if rest == "postgres" => Ok(Record::NeedsPostgres),
        _ => Err(format!("`{line}` is no record")),
    }
}

fn parse_query(rest: &str, lines: &mut Lines) -> Result<Record, String> {
    let mut types = None;
    let mut order = Order::AsSent;
    for word in rest.split_whitespace() {
        match word {
            "rowsort" => order = Order::Sorted,
            letters if letters.chars().all(|letter| "BDIPRT".contains(letter)) => {
                types = Some(letters.to_string())
            }
            other => return Err(format!("`{other}` is neither rowsort nor column types (BDIPRT)")),
        }
    }
    let sql = sql(lines.until(|line| line == "----"))?;
    let rows = lines.until(|line| line.trim().is_empty()).iter().map(|row| row.to_string()).collect();
    Ok(Record::Query { sql, types, order, rows })
}

fn parse_expect(rest: &str) -> Result<Expect, String> {
    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "ok" => Ok(Expect::Ok),
        "count" => rest.parse().map(Expect::Count).map_err(|_| format!("`{rest}` is no count")),
        "error" => {
            let (state, message) = rest.split_once(' ').unwrap_or((rest, ""));
            let (sqlstate, position) = match state.split_once('@') {
                None => (state, None),
                Some((state, at)) => (state, Some(at.parse().map_err(|_| format!("`{at}` is no position"))?)),
            };
            if sqlstate.len() != 5 || message.is_empty() {
                return Err(
                    "an error needs its SQLSTATE and a regular expression for its message".to_string()
                );
            }
            Ok(Expect::Error { sqlstate: sqlstate.to_string(), position, message: message.to_string() })
        }
        _ => Err(format!("`{word}` is not ok, count or error")),
    }
}

fn sql(lines: Vec<&str>) -> Result<String, String> {
    let sql = lines.join("\n");
    if sql.trim().is_empty() { Err("there is no SQL".to_string()) } else { Ok(sql) }
}

fn user_and_password(text: &str) -> Result<(String, Option<String>), String> {
    let (user, password) = match text.split_once('/') {
        Some((user, password)) => (user, Some(password.to_string())),
        None => (text, None),
    };
    if user.is_empty() { Err("there is no user".to_string()) } else { Ok((user.to_string(), password)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Vec<Record> {
        Script::parse(text)
            .expect("the script is right")
            .records
            .into_iter()
            .map(|(_, record)| record)
            .collect()
    }

    #[test]
    fn statements_and_their_expectations() {
        let text = "# Shows.\n\nstatement ok\nSELECT 1\n\nstatement count 2\nINSERT\nINTO t\n\n\
                    statement error 42P01@15 no such .* table\nSELECT * FROM x\n";
        let error = Expect::Error {
            sqlstate: "42P01".into(),
            position: Some(15),
            message: "no such .* table".into(),
        };
        assert_eq!(
            records(text),
            vec![
                Record::Statement { sql: "SELECT 1".into(), expect: Expect::Ok },
                Record::Statement { sql: "INSERT\nINTO t".into(), expect: Expect::Count(2) },
                Record::Statement { sql: "SELECT * FROM x".into(), expect: error },
            ]
        );
    }

    #[test]
    fn queries_with_types_order_and_rows() {
        let text =
            "# Shows.\nquery IT rowsort\nSELECT a, b\n\nFROM t\n----\n1|x y\n2|NULL\n\nquery\nSELECT\n----\n";
        let first = Record::Query {
            sql: "SELECT a, b\n\nFROM t".into(),
            types: Some("IT".into()),
            order: Order::Sorted,
            rows: vec!["1|x y".into(), "2|NULL".into()],
        };
        let second = Record::Query { sql: "SELECT".into(), types: None, order: Order::AsSent, rows: vec![] };
        assert_eq!(records(text), vec![first, second]);
    }

    #[test]
    fn files_users_and_restarts() {
        let text = "# Shows.\nfile a/b.csv\nx\n\ny\nend of file\nconnect alice/pw\nkill\n";
        assert_eq!(
            records(text),
            vec![
                Record::File { name: "a/b.csv".into(), content: "x\n\ny\n".into() },
                Record::Connect { user: "alice".into(), password: Some("pw".into()) },
                Record::Restart(Stop::Kill),
            ]
        );
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let mistakes =
            ["statement error nothing\nSELECT 1\n", "query Z\nSELECT 1\n----\n", "statment ok\nSELECT 1\n"];
        for mistake in mistakes {
            let error = Script::parse(&format!("# Shows.\n{mistake}")).expect_err(mistake);
            assert!(error.starts_with("line 2: "), "{error}");
        }
        assert!(Script::parse("statement ok\nSELECT 1\n").is_err(), "a script needs its sentence");
    }
}
