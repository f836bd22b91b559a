//! Just enough of Rust's lexical grammar for the rules: which characters are code and which are comment or literal,
//! and where each function begins and ends. It never parses; a file that the compiler accepts is assumed.

/// One function as it stands in a file.
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// The text with comments, strings and character literals blanked out, line structure kept.
pub fn code_only(text: &str) -> String {
    let input: Vec<char> = text.chars().collect();
    let mut output = String::with_capacity(text.len());
    let mut at = 0;
    while at < input.len() {
        let end = literal_end(&input, at);
        if end == at {
            output.push(input[at]);
            at += 1;
        } else {
            output.extend(input[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    output
}

/// Where the comment or literal that starts at `at` ends, or `at` when none starts there.
fn literal_end(input: &[char], at: usize) -> usize {
    let starts = |text: &str| text.chars().enumerate().all(|(i, c)| input.get(at + i) == Some(&c));
    if starts("//") {
        return find(input, at, |rest| rest[0] == '\n');
    }
    if starts("/*") {
        return block_comment_end(input, at);
    }
    if let Some(end) = raw_string_end(input, at) {
        return end;
    }
    match input[at] {
        '"' => quoted_end(input, at, '"'),
        '\'' if is_character_literal(input, at) => quoted_end(input, at, '\''),
        _ => at,
    }
}

fn find(input: &[char], from: usize, matches: impl Fn(&[char]) -> bool) -> usize {
    (from..input.len()).find(|&i| matches(&input[i..])).unwrap_or(input.len())
}

fn block_comment_end(input: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < input.len() {
        match (input[i], input.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    i
}

fn raw_string_end(input: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|i| input[i]);
    if input[at] != 'r' || before.is_some_and(|c| (c.is_alphanumeric() || c == '_') && c != 'b') {
        return None;
    }
    let hashes = input[at + 1..].iter().take_while(|&&c| c == '#').count();
    if input.get(at + 1 + hashes) != Some(&'"') {
        return None;
    }
    let closes =
        |rest: &[char]| rest[0] == '"' && rest[1..].iter().take_while(|&&c| c == '#').count() >= hashes;
    Some((find(input, at + 2 + hashes, closes) + 1 + hashes).min(input.len()))
}

fn quoted_end(input: &[char], at: usize, quote: char) -> usize {
    let mut i = at + 1;
    while i < input.len() && input[i] != quote {
        i += if input[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(input.len())
}

/// `'a'` and `'\n'` are literals, `'a` in `&'a str` is a lifetime.
fn is_character_literal(input: &[char], at: usize) -> bool {
    input.get(at + 1) == Some(&'\\') || input.get(at + 2) == Some(&'\'')
}

/// Every function with a body, nested ones too, in the order of their first lines.
pub fn functions(text: &str) -> Vec<Function> {
    let code: Vec<char> = code_only(text).chars().collect();
    let mut found = Vec::new();
    for at in 0..code.len() {
        if let Some(name) = function_name(&code, at)
            && let Some((_, close)) = body(&code, at)
        {
            let line = 1 + code[..at].iter().filter(|&&c| c == '\n').count();
            let lines = 1 + code[at..=close].iter().filter(|&&c| c == '\n').count();
            found.push(Function { name, line, lines });
        }
    }
    found
}

fn function_name(code: &[char], at: usize) -> Option<String> {
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    let starts_word = at == 0 || !word(&code[at - 1]);
    if !starts_word || code.get(at..at + 3) != Some(&['f', 'n', ' ']) {
        return None;
    }
    let name: String = code[at + 3..].iter().take_while(|c| word(c)).collect();
    (!name.is_empty()).then_some(name)
}

/// The braces of the body that follows a signature; none for a declaration that ends in `;`.
fn body(code: &[char], at: usize) -> Option<(usize, usize)> {
    let mut nested = 0;
    let mut open = None;
    for (i, &c) in code.iter().enumerate().skip(at) {
        match c {
            '(' | '[' => nested += 1,
            ')' | ']' => nested -= 1,
            ';' if nested == 0 => return None,
            '{' if nested == 0 => {
                open = Some(i);
                break;
            }
            _ => {}
        }
    }
    let open = open?;
    let mut depth = 0;
    for (i, &c) in code.iter().enumerate().skip(open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((open, i));
        }
    }
    None
}
