//! Lists in pieces: a client that asks for a page gets as many names as it wants and a token for the rest. The token says
//! which name was last, so a list may change between two pages and still shows what stays, once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;

use super::error::{Error, Result};
use super::request::Request;

/// Names of a page when the client does not say how many, and at most.
const PAGE_NAMES: usize = 1000;
const PAGE_NAMES_MAX: usize = 10_000;

/// What part of a list is wanted.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The last name of the page before.
    pub after: Option<String>,
    /// None: all of it.
    pub size: Option<usize>,
}

impl Page {
    pub fn of(request: &Request) -> Result<Page> {
        Page::read(request.parameter("pageToken"), request.parameter("pageSize"))
    }

    /// A client that sends no token does not know of pages, and gets everything.
    fn read(token: Option<&str>, size: Option<&str>) -> Result<Page> {
        let size = match size {
            None => PAGE_NAMES,
            Some(text) => match text.parse() {
                Ok(0) | Err(_) => return Err(Error::bad_request("pageSize is a whole number above 0")),
                Ok(size) => usize::min(size, PAGE_NAMES_MAX),
            },
        };
        let Some(token) = token else { return Ok(Page { after: None, size: None }) };
        if token.is_empty() {
            return Ok(Page { after: None, size: Some(size) });
        }
        let name = BASE64URL.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let name = name.ok_or_else(|| Error::bad_request("pageToken is not one of this server"))?;
        Ok(Page { after: Some(name), size: Some(size) })
    }

    /// Whether as many names have been found as the page has, and one that shows that there are more.
    pub fn is_full(&self, found: usize) -> bool {
        self.size.is_some_and(|size| found > size)
    }

    /// Cuts a list to the page; gives the token for the rest.
    pub fn cut<T>(&self, found: &mut Vec<T>, name: impl Fn(&T) -> &str) -> Value {
        let Some(size) = self.size else { return Value::Null };
        if found.len() <= size {
            return Value::Null;
        }
        found.truncate(size);
        match found.last() {
            Some(last) => Value::String(BASE64URL.encode(name(last))),
            None => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_pages_to_its_end() {
        let all = ["a", "b", "c", "d", "e"];
        let mut seen = Vec::new();
        let mut token = Some(String::new());
        while let Some(text) = token {
            let page = Page::read(Some(&text), Some("2")).expect("a page");
            let rest = all.iter().filter(|name| page.after.as_deref().is_none_or(|after| **name > after));
            let mut found: Vec<&str> = rest.copied().take(3).collect();
            token = page.cut(&mut found, |name| name).as_str().map(str::to_owned);
            assert!(found.len() <= 2);
            seen.extend(found);
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn without_a_token_everything_comes_at_once() {
        let page = Page::read(None, Some("2")).expect("a page");
        let mut found = vec!["a", "b", "c"];
        assert_eq!(page.cut(&mut found, |name| name), Value::Null);
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for (token, size) in
            [(Some(""), Some("0")), (Some(""), Some("-1")), (Some("?"), None), (None, Some("x"))]
        {
            assert!(Page::read(token, size).is_err(), "{token:?} {size:?}");
        }
    }
}
